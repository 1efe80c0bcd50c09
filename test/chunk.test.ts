import { afterAll, beforeAll, expect, test } from "vitest";
import { BUILTIN_MODEL, type EmbeddingModel, loadModel } from "../lib/index.ts";

let model: EmbeddingModel;
beforeAll(async () => {
  model = await loadModel(BUILTIN_MODEL);
});
afterAll(() => model.dispose());

const DOCUMENT = Array.from(
  { length: 60 },
  (_, i) => `Sentence ${i} speaks of the river and the wind. Wie schön ist Nummer ${i}! 日本語の文です。`,
).join(" ");

test("chunks fit, follow the document's offsets and leave out nothing but white space", async () => {
  const chunks = await model.chunk(DOCUMENT, { maxTokens: 50 });
  let end = 0;
  for (const chunk of chunks) {
    expect(chunk.text).toBe(DOCUMENT.slice(chunk.start, chunk.end));
    expect(chunk.tokens).toBeLessThanOrEqual(50);
    expect(chunk.tokens).toBe(await model.countTokens(chunk.text));
    expect(DOCUMENT.slice(end, chunk.start).trim()).toBe("");
    end = chunk.end;
  }
  expect(DOCUMENT.slice(end).trim()).toBe("");
  expect(chunks.length).toBeGreaterThan(10);
});

test("chunks end where sentences end while sentences fit", async () => {
  for (const { text } of await model.chunk(DOCUMENT, { maxTokens: 60 })) expect(text).toMatch(/[.!。]$/);
});

test("a sentence that does not fit is cut between words, a word between characters", async () => {
  const words = await model.chunk("alpha beta gamma delta ".repeat(40), { maxTokens: 12 });
  for (const { text } of words) expect(text).toMatch(/^[a-z]+( [a-z]+)*$/);
  const characters = await model.chunk("x".repeat(90), { maxTokens: 6 });
  expect(characters.map(({ text }) => text).join("")).toBe("x".repeat(90));
});

test("overlap repeats the end of the chunk before, and the chunks still go on", async () => {
  const chunks = await model.chunk(DOCUMENT, { maxTokens: 60, overlap: 30 });
  for (const [i, chunk] of chunks.entries()) {
    if (i === 0) continue;
    expect(chunk.start).toBeLessThanOrEqual(chunks[i - 1]!.end + 1);
    expect(chunk.start).toBeGreaterThan(chunks[i - 1]!.start);
  }
  expect(chunks.some((chunk, i) => i > 0 && chunk.start < chunks[i - 1]!.end)).toBe(true);
});

test("an empty document has no chunks; numbers out of range are ERR_INPUT_INVALID", async () => {
  expect(await model.chunk("")).toEqual([]);
  await expect(model.chunk("a", { maxTokens: 1 })).rejects.toMatchObject({ code: "ERR_INPUT_INVALID" });
  await expect(model.chunk("a", { maxTokens: 10, overlap: 10 })).rejects.toMatchObject({ code: "ERR_INPUT_INVALID" });
});
