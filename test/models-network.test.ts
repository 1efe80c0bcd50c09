import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Intervals } from "../lib/models/intervals.ts";
import { proxyFor } from "../lib/models/proxy.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

let box: Sandbox;
beforeEach(() => {
  box = sandbox();
});
afterEach(() => box.remove());

const proxy = (url: string) => proxyFor(new URL(url));

describe("the proxy for a URL", () => {
  it("follows the scheme, the lower-case variable first", () => {
    process.env.HTTPS_PROXY = "http://upper:1";
    process.env.HTTP_PROXY = "plain:3128";
    expect(proxy("https://huggingface.co/x")).toBe("http://upper:1");
    expect(proxy("http://mirror.example/x")).toBe("http://plain:3128");
    process.env.https_proxy = "http://lower:1";
    expect(proxy("https://huggingface.co/x")).toBe("http://lower:1");
  });

  it("is the one for everything where the scheme has none", () => {
    expect(proxy("https://huggingface.co/x")).toBeUndefined();
    process.env.ALL_PROXY = "http://all:1";
    expect(proxy("https://huggingface.co/x")).toBe("http://all:1");
  });

  it.each([
    ["*", "https://huggingface.co/", true],
    ["huggingface.co", "https://huggingface.co/", true],
    ["HuggingFace.co", "https://huggingface.co/", true],
    [".huggingface.co", "https://cdn.huggingface.co/", true],
    ["*.huggingface.co", "https://cdn.huggingface.co/", true],
    ["huggingface.co", "https://cdn.huggingface.co/", true],
    ["huggingface.co", "https://nothuggingface.co/", false],
    ["huggingface.co:443", "https://huggingface.co/", true],
    ["huggingface.co:8080", "https://huggingface.co/", false],
    ["localhost, 127.0.0.1", "http://127.0.0.1:9/", true],
    ["localhost 127.0.0.1", "http://127.0.0.1:9/", true],
    ["::1", "http://[::1]:9/", true],
    ["[::1]:9", "http://[::1]:9/", true],
    ["", "https://huggingface.co/", false],
    ["other.example", "https://huggingface.co/", false],
  ])("NO_PROXY=%s and %s: exempt is %s", (exemptions, url, exempt) => {
    process.env.ALL_PROXY = "http://all:1";
    process.env.NO_PROXY = exemptions;
    expect(proxy(url) === undefined).toBe(exempt);
  });
});

describe("intervals", () => {
  it("join where they touch or overlap, in any order", () => {
    const intervals = new Intervals();
    for (const [from, to] of [
      [10, 20],
      [30, 40],
      [5, 5],
      [20, 25],
      [0, 5],
      [24, 31],
    ] as const) {
      intervals.add(from, to);
    }
    expect(intervals.toJSON()).toEqual([
      [0, 5],
      [10, 40],
    ]);
    expect(intervals.total).toBe(35);
    expect(intervals.missingUpTo(50)).toEqual([
      [5, 10],
      [40, 50],
    ]);
    expect(Intervals.from(intervals.toJSON(), 40)?.toJSON()).toEqual(intervals.toJSON());
  });

  it("agree with a plain set of positions", () => {
    // A linear congruential generator, so that a failure can be repeated.
    let state = 7;
    const random = (limit: number) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state % limit;
    };
    for (let round = 0; round < 200; round++) {
      const intervals = new Intervals();
      const positions = new Set<number>();
      for (let step = 0; step < 12; step++) {
        const from = random(60);
        const to = from + random(12);
        intervals.add(from, to);
        for (let position = from; position < to; position++) positions.add(position);
      }
      expect(intervals.total).toBe(positions.size);
      const missing = intervals.missingUpTo(80).flatMap(([a, b]) => Array.from({ length: b - a }, (_, i) => a + i));
      expect(missing).toEqual(Array.from({ length: 80 }, (_, i) => i).filter((position) => !positions.has(position)));
    }
  });

  it.each([[null], [[[0]]], [[[-1, 2]]], [[[3, 3]]], [[[0, 101]]], [[[0.5, 2]]], [["ab"]], [{}]])(
    "are not read from %j",
    (value) => {
      expect(Intervals.from(value, 100)).toBeUndefined();
    },
  );
});
