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

/** Where a model's own tokenizer splits these texts in another way than llama.cpp, and why. */
const DEVIATIONS: Record<string, { contains: string; because: string }[]> = {};

/** Vocabularies for which there is an exact tokenizer. */
const EXACT = ["bert-bge", "llama-spm", "qwen2"];

test.each(EXACT)("%s: the exact tokenizer gives the expected ids but for named deviations", async (vocabulary) => {
  const model = await load(vocabulary, { tokenizer: "exact" });
  expect(model.info.tokenizer).toBe("exact");
  for (const { text, ids } of vocabularyCases(vocabulary)) {
    const got = Array.from(await model.tokenize(text, { addSpecial: false }));
    const deviation = DEVIATIONS[vocabulary]?.find(({ contains }) => text.includes(contains));
    if (deviation) expect(got, `${JSON.stringify(text)}: ${deviation.because}`).not.toEqual(ids);
    else expect(got, JSON.stringify(text)).toEqual(ids);
  }
});

test.each(testedVocabularies().filter((name) => !EXACT.includes(name)))(
  "%s: asked for the exact tokenizer, gives the expected ids",
  async (vocabulary) => {
    const model = await load(vocabulary, { tokenizer: "exact" });
    for (const { text, ids } of vocabularyCases(vocabulary)) {
      expect(Array.from(await model.tokenize(text, { addSpecial: false })), JSON.stringify(text)).toEqual(ids);
    }
  },
);

async function load(vocabulary: string, options: LoadOptions) {
  const model = await loadModel(await modelAround(vocabulary), options);
  onTestFinished(() => model.dispose());
  return model;
}
