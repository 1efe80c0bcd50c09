import { afterAll, beforeAll, expect, test } from "vitest";
import { BUILTIN_MODEL, type EmbeddingModel, loadModel, runtime } from "../lib/index.ts";
import { manyTexts } from "./fixtures/texts.mjs";

let model: EmbeddingModel;
beforeAll(async () => {
  model = await loadModel(BUILTIN_MODEL);
});
afterAll(() => model.dispose());

test("a signal that is aborted already starts no work", async () => {
  const before = runtime.stats().totals.jobs;
  const reason = new Error("not today");
  await expect(model.embed("a", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(runtime.stats().totals.jobs).toBe(before);
});

test("an abort in mid-job rejects with the signal's reason and empties the queue", async () => {
  const controller = new AbortController();
  const job = model.embed(manyTexts(20_000), { signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  await expect(job).rejects.toMatchObject({ name: "AbortError" });
  expect(runtime.stats().queue).toMatchObject({ texts: 0, tokens: 0, bytes: 0 });
});

test("a load can be aborted", async () => {
  const reason = new Error("no model");
  await expect(loadModel(BUILTIN_MODEL, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test("in a storm of aborts every call settles once, with a result or its reason", async () => {
  const calls = process.env.INLAY_LONG ? 10_000 : 2_000;
  let settled = 0;
  const outcomes = await Promise.all(
    Array.from({ length: calls }, async (_, i) => {
      const controller = new AbortController();
      if (i % 3 === 0) setTimeout(() => controller.abort(i), Math.random() * 50);
      try {
        const { embeddings } = await model.embed(`call ${i}`, { signal: controller.signal });
        return embeddings.length === 1;
      } catch (reason) {
        return reason === i;
      } finally {
        settled++;
      }
    }),
  );
  expect(settled).toBe(calls);
  expect(outcomes.every(Boolean)).toBe(true);
  expect(runtime.stats().queue).toMatchObject({ jobs: 0, texts: 0, tokens: 0, bytes: 0 });
}, 120_000);
