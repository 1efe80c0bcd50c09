import diagnostics from "node:diagnostics_channel";
import { copyFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { embed, loadModel, models, runtime, unload } from "../lib/index.ts";
import { runFixture } from "./support/child.ts";
import { makeModel } from "./support/synthetic.ts";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "inlay-runtime-"));
  path = join(folder, "model.gguf");
  await copyFile(await makeModel({ architecture: "bert", layers: 2, dim: 32, heads: 2 }), path);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  for (const { names } of models()) await unload(names[0]!);
});

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const loaded = () => models().map((model) => model.path);

describe("keep_alive", () => {
  test.each([0, "0", "0s"])("%s: the model goes with the answer", async (keep_alive) => {
    await embed({ model: path, input: "a", keep_alive });
    await pause(20);
    expect(loaded()).toEqual([]);
  });

  test.each([-1, "-1", "-1m"])("%s: it stays for ever", async (keep_alive) => {
    await embed({ model: path, input: "a", keep_alive });
    expect(models()[0]!.expiresAt).toBeNull();
  });

  test.each([
    ["5m", 300_000],
    ["1.5h", 5_400_000],
    [300, 300_000],
    [undefined, 300_000],
  ])("%s: it stays that long", async (keep_alive, milliseconds) => {
    await embed({ model: path, input: "a", keep_alive });
    expect(Math.abs(models()[0]!.expiresAt! - Date.now() - milliseconds)).toBeLessThan(5_000);
  });

  test("is over when its time is over, and a request within it begins it again", async () => {
    await embed({ model: path, input: "a", keep_alive: "300ms" });
    await pause(150);
    await embed({ model: path, input: "a" });
    await pause(200);
    expect(loaded()).toHaveLength(1);
    await pause(500);
    expect(loaded()).toEqual([]);
  });
});

describe("sharing", () => {
  test("concurrent loads of one file are one load", async () => {
    const before = runtime.stats().totals.loads;
    const handles = await Promise.all(Array.from({ length: 10 }, () => loadModel(path)));
    expect(runtime.stats().totals.loads).toBe(before + 1);
    expect(models()[0]!.handles).toBe(10);
    await Promise.all(handles.map((handle) => handle.dispose()));
    await pause(20);
    expect(loaded()).toEqual([]);
  });

  test("a caller who aborts leaves the load to the others", async () => {
    const reason = new Error("not me");
    const controller = new AbortController();
    const [first, second] = [loadModel(path, { signal: controller.signal }), loadModel(path)];
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    const model = await second;
    expect((await model.embed("a")).embeddings).toHaveLength(1);
    await model.dispose();
  });

  test("a load that fails fails everyone who waits for it, and the next may succeed", async () => {
    const late = join(folder, "late.gguf");
    await writeFile(late, "not a model");
    const outcomes = await Promise.allSettled([loadModel(late), loadModel(late)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await copyFile(path, late);
    const model = await loadModel(late);
    await model.dispose();
  });

  test("the memory of unloaded models is given back", async () => {
    while (runtime.stats().memory.models > 0) await pause(10); // of the tests before
    const before = runtime.stats().memory;
    const model = await loadModel(path);
    expect(runtime.stats().memory.models).toBeGreaterThan(before.models);
    await model.embed("a");
    await model.dispose();
    await pause(50);
    expect(runtime.stats().memory).toMatchObject({ models: before.models, workspaces: before.workspaces });
  });

  test("identical texts in the queue are computed once", async () => {
    const model = await loadModel(path);
    const before = runtime.stats().totals.deduplicated;
    const { embeddings } = await model.embed(Array.from({ length: 500 }, (_, i) => `one of ten ${i % 10}`));
    expect(runtime.stats().totals.deduplicated).toBeGreaterThan(before);
    expect(Buffer.from(embeddings[3]!).equals(Buffer.from(embeddings[493]!))).toBe(true);
    await model.dispose();
  });
});

describe("model bytes are ours once loaded", () => {
  test.each(["fused", "ggml"] as const)(
    "%s: truncating, overwriting and deleting the file changes nothing",
    async (engine) => {
      const own = join(folder, `${engine}.gguf`);
      await copyFile(path, own);
      const model = await loadModel(own, { engine });
      const vector = async () => Buffer.from((await model.embed("the same")).embeddings[0]!.buffer);
      const before = await vector();
      await truncate(own, 1000);
      expect((await vector()).equals(before)).toBe(true);
      await writeFile(own, "overwritten");
      expect((await vector()).equals(before)).toBe(true);
      await rm(own);
      expect((await vector()).equals(before)).toBe(true);
      await model.dispose();
    },
  );

  test("a file replaced by rename is another model at the next load", async () => {
    const own = join(folder, "replaced.gguf");
    await copyFile(path, own);
    const first = await loadModel(own);
    const other = join(folder, "other.gguf");
    await copyFile(await makeModel({ architecture: "bert", layers: 2, dim: 32, heads: 2, seed: 9 }), other);
    await rename(other, own);
    const fingerprint = first.info.fingerprint;
    await first.dispose();
    const second = await loadModel(own);
    expect(second.info.fingerprint).not.toBe(fingerprint);
    await second.dispose();
  });
});

test("bulk work does not hold back a single text", async () => {
  const model = await loadModel(path);
  let bulkDone = false;
  const bulk = model
    .embed(
      Array.from({ length: 3000 }, (_, i) => `bulk ${i} ${"word ".repeat(60)}`),
      { priority: "bulk" },
    )
    .then(() => {
      bulkDone = true;
    });
  for (let i = 0; i < 10; i++) await model.embed(`single ${i}`);
  expect(bulkDone).toBe(false);
  await bulk;
  await model.dispose();
});

test("past its bounds the queue is full, says for how long, and takes work again later", async () => {
  const outcome = await runFixture("queue-full.mjs", [], { env: { INLAY_QUEUE_BYTES: "1MB" } });
  expect(outcome).toEqual({ code: 0, signal: null, stdout: "full, then free\n", stderr: "" });
});

test("what does not fit the memory budget is refused with the numbers; idle models make room", async () => {
  const outcome = await runFixture("memory-budget.mjs", [path], { env: { INLAY_MEMORY: "5MB" } });
  expect(outcome).toEqual({ code: 0, signal: null, stdout: "made room, then refused\n", stderr: "" });
});

test("an idle process uses no CPU time", async () => {
  const outcome = await runFixture("idle.mjs");
  expect(outcome).toEqual({ code: 0, signal: null, stdout: "idle\n", stderr: "" });
});

test("diagnostics channels tell of loads, jobs and unloads", async () => {
  const seen: string[] = [];
  const listeners = ["load", "job", "unload"].map((name) => {
    const listen = () => seen.push(name);
    diagnostics.subscribe(`inlay:${name}`, listen);
    return () => diagnostics.unsubscribe(`inlay:${name}`, listen);
  });
  await embed({ model: path, input: "a", keep_alive: 0 });
  await pause(50);
  for (const unsubscribe of listeners) unsubscribe();
  expect(seen).toEqual(["load", "job", "unload"]);
});
