import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BodyError, parseBody } from "../lib/server/json.ts";
import { syntaxError } from "../lib/server/json-syntax.ts";

/** Fills a body up beyond the size from which it is parsed in pieces. */
const PADDING = "p".repeat(70_000);

describe("a large body", () => {
  it("reads as JSON.parse reads it, whatever is in it", async () => {
    const value = fc.record({
      model: fc.string(),
      input: fc.array(fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), fc.array(fc.nat(50_000))), {
        minLength: 1,
        maxLength: 30,
      }),
      ids: fc.array(fc.double({ noNaN: true }), { maxLength: 20 }),
      options: fc.dictionary(
        fc.string().filter((key) => key !== "__proto__"),
        fc.nat(),
      ),
      last: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(value, fc.nat(3), async (body, spaces) => {
        const repeated = { ...body, input: Array(200).fill(body.input).flat(), ids: Array(4000).fill(body.ids).flat() };
        const text = JSON.stringify({ ...repeated, padding: PADDING }, null, spaces);
        expect((await parseBody(Buffer.from(`${text} trailing`))).value).toEqual(JSON.parse(text));
      }),
      { numRuns: 30 },
    );
  });

  it("is refused where JSON.parse refuses it", async () => {
    const items = Array.from({ length: 20_000 }, (_, i) => JSON.stringify(`text ${i}`));
    const list = items.join(",");
    for (const input of [
      `[${list},]`,
      `[,${list}]`,
      `[${list},,${list}]`,
      `[${list} ${list}]`,
      `[${list}`,
      `[${list}}`,
      `[${list},"\n"]`,
      `[${list},tru]`,
      `[${list}]]`,
      `[${list}],"x"`,
    ]) {
      const body = Buffer.from(`{"input":${input},"model":"x"}`);
      await expect(parseBody(body)).rejects.toThrow(BodyError);
    }
  });

  it("keeps what numbers looked like, and the last of several lists", async () => {
    const list = JSON.stringify(Array(20_000).fill("text"));
    const body = Buffer.from(`{"input":${list},"dimensions":256.0,"input":["last"],"padding":"${PADDING}"}`);
    const { value, numbers } = await parseBody(body);
    expect((value as { input: string[] }).input).toEqual(["last"]);
    expect(numbers.get("dimensions")).toBe("256.0");
  });

  it("does not hold the event loop while it is parsed", async () => {
    const texts = Array.from({ length: 16_000 }, (_, i) => `${i} ${"words and more words ".repeat(90)}`);
    const body = Buffer.from(JSON.stringify({ model: "x", input: texts }));
    expect(body.length).toBeGreaterThan(28_000_000);
    const pauses: number[] = [];
    let last = performance.now();
    let running = true;
    const tick = () => {
      pauses.push(performance.now() - last);
      last = performance.now();
      if (running) setImmediate(tick);
    };
    setImmediate(tick);
    const { value } = await parseBody(body);
    running = false;
    expect((value as { input: string[] }).input).toHaveLength(16_000);
    // The median and not the longest: a busy machine stops the whole process now and then.
    pauses.sort((a, b) => a - b);
    expect(pauses.length).toBeGreaterThan(200);
    expect(pauses[Math.floor(pauses.length * 0.95)]).toBeLessThan(50);
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("syntaxError()", () => {
  it("finds a fault exactly where JSON.parse does", () => {
    const scraps = fc.constantFrom(
      ...'{}[]:,"\\ \n\t-+.eE0159',
      "true",
      "false",
      "null",
      '"a"',
      "\\u00e9",
      "\\n",
      '{"a":1}',
      "[1,2]",
      "-0.5e+3",
      "\u0000",
      "é",
      "😀",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(scraps, { maxLength: 12 }).map((parts) => parts.join("")),
          fc.json().chain((text) => fc.nat(text.length).map((at) => text.slice(0, at) + text.slice(at + 1))),
          fc.json(),
        ),
        (text) => {
          const fault = syntaxError(text);
          if (parses(text)) expect(fault).toBeUndefined();
          // What stands after the first value is not looked at, as in Go.
          else if (fault === undefined)
            expect(Array.from(text, (_, end) => end).some((end) => parses(text.slice(0, end)))).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
