import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddingModel, loadModel } from "../lib/index.ts";
import { promptsFor } from "../lib/prompts.ts";
import { makeModel } from "./support/synthetic.ts";

let folder: string;
let model: EmbeddingModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "inlay-prompts-"));
  const path = join(folder, "nomic-embed-text-v1.5.Q8_0.gguf");
  await copyFile(await makeModel({ architecture: "nomic-bert", layers: 1, dim: 32, heads: 2 }), path);
  model = await loadModel(path);
});
afterAll(async () => {
  await model.dispose();
  await rm(folder, { recursive: true, force: true });
});

test("a task puts the prefix before the text", async () => {
  const [asked] = (await model.embed("why?", { task: "query" })).embeddings;
  const [written] = (await model.embed("search_query: why?")).embeddings;
  expect(Buffer.from(asked!.buffer).equals(Buffer.from(written!.buffer))).toBe(true);
});

test("without a task the text goes as it is", async () => {
  expect((await model.embed("why?")).tokens[0]).toBe((await model.tokenize("why?")).length);
});

test("an unknown task is ERR_INPUT_INVALID and names the known ones", async () => {
  await expect(model.embed("why?", { task: "summary" })).rejects.toMatchObject({
    code: "ERR_INPUT_INVALID",
    message: expect.stringContaining('"query", "document"'),
  });
});

test.each([
  ["", "hf:Qwen/Qwen3-Embedding-0.6B-GGUF:Q8_0", "query"],
  ["Embeddinggemma 300M", "anything.gguf", "document"],
  ["", "/models/bge-small-en-v1.5-f16.gguf", "query"],
])("prompts are found for %j %j", (title, name, task) => {
  expect(promptsFor({ title }, name)).toHaveProperty(task);
});

test("no prompts are made up for a model that is not known", () => {
  expect(promptsFor({ title: "My model" }, "mine.gguf")).toEqual({});
});
