import { afterAll, beforeAll, expect, test } from "vitest";
import { BUILTIN_MODEL, type EmbeddingModel, loadModel, runtime } from "../lib/index.ts";

const SCALE = process.env.INLAY_LONG ? 5 : 1;

let model: EmbeddingModel;
beforeAll(async () => {
  model = await loadModel(BUILTIN_MODEL);
});
afterAll(() => model.dispose());

/** How often the event loop turns until the job is done. */
async function turnsDuring(job: Promise<unknown>): Promise<number> {
  let done = false;
  const ended = job.finally(() => {
    done = true;
  });
  let turns = 0;
  for (; !done; turns++) await new Promise((resolve) => setImmediate(resolve));
  await ended;
  return turns;
}

test("a text of many megabytes is cut to the context while the event loop turns", async () => {
  const text = "a long text of words that goes on and on ".repeat(250_000 * SCALE);
  const job = model.embed(text);
  expect(await turnsDuring(job)).toBeGreaterThan(50);
  const { truncated, tokens } = await job;
  expect(truncated).toEqual([0]);
  expect(tokens[0]).toBe(model.info.contextLength);
}, 120_000);

test("a text past the longest that is taken is refused with its index", async () => {
  const texts = ["fine", "a".repeat(2 ** 26 + 1)];
  await expect(model.embed(texts)).rejects.toMatchObject({ code: "ERR_INPUT_INVALID", index: 1 });
});

test("a list of very many texts is embedded while the event loop turns, identical texts once", async () => {
  const texts = Array.from({ length: 100_000 * SCALE }, (_, i) => `text ${i % 100}`);
  const before = runtime.stats().totals.deduplicated;
  const job = model.embed(texts, { dimensions: 4 });
  expect(await turnsDuring(job)).toBeGreaterThan(50);
  const { embeddings, tokens } = await job;
  expect(embeddings).toHaveLength(texts.length);
  expect(tokens.every((count) => count > 0)).toBe(true);
  expect(embeddings.at(-1)).toEqual(embeddings[99]);
  expect(runtime.stats().totals.deduplicated).toBeGreaterThan(before + texts.length / 2);
}, 120_000);
