import { expect, onTestFinished, test } from "vitest";
import { type LoadOptions, loadModel } from "../lib/index.ts";
import { modelAround, testedVocabularies, vocabularyCases } from "./support/vocabularies.ts";

test("llama.cpp's vocabularies come with texts and ids", () => {
  expect(testedVocabularies().length).toBeGreaterThanOrEqual(15);
});

test.each(testedVocabularies())("%s: llama.cpp's tokenizer gives the expected ids", async (vocabulary) => {
  const model = await load(vocabulary, { tokenizer: "llama", engine: "ggml" });
  for (const { text, ids } of vocabularyCases(vocabulary)) {
    const got = await model.tokenize(text, { addSpecial: false });
    expect(Array.from(got), JSON.stringify(text)).toEqual(ids);
  }
});

/** Vocabularies for which there is an exact tokenizer; it deviates from llama.cpp on none of these texts. */
const EXACT = ["bert-bge", "llama-spm", "qwen2"];

test.each(testedVocabularies())("%s: asked for the exact tokenizer, gives the expected ids", async (vocabulary) => {
  const model = await load(vocabulary, { tokenizer: "exact" });
  if (EXACT.includes(vocabulary)) expect(model.info.tokenizer).toBe("exact");
  for (const { text, ids } of vocabularyCases(vocabulary)) {
    const got = await model.tokenize(text, { addSpecial: false });
    expect(Array.from(got), JSON.stringify(text)).toEqual(ids);
  }
});

async function load(vocabulary: string, options: LoadOptions) {
  const model = await loadModel(await modelAround(vocabulary), options);
  onTestFinished(() => model.dispose());
  return model;
}
