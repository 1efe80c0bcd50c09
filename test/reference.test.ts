import { describe, expect, test } from "vitest";
import { Gguf } from "./support/gguf.ts";
import { goldenModel, goldenNames, hasReference } from "./support/golden.ts";
import { distance, referenceEmbedding } from "./support/reference.ts";

// The golden vectors are rounded to float32, which alone costs about 1e-15.
const FLOAT64 = 1e-13;

describe.skipIf(!hasReference)("the reference forward pass gives the golden vectors", () => {
  test.each(goldenNames)("%s", { timeout: 300_000 }, (name) => {
    const { path, texts } = goldenModel(name);
    const model = new Gguf(path);
    try {
      expect(texts.length).toBeGreaterThanOrEqual(12);
      for (const golden of texts) {
        const own = referenceEmbedding(model, golden.ids);
        expect(distance(own, golden.embedding), golden.name).toBeLessThan(FLOAT64);
        if (golden.embedding_tanh_gelu) {
          const tanh = referenceEmbedding(model, golden.ids, { gelu: "tanh" });
          expect(distance(tanh, golden.embedding_tanh_gelu), `${golden.name}, tanh`).toBeLessThan(FLOAT64);
        }
        if (golden.ids_hf) {
          const original = referenceEmbedding(model, golden.ids_hf);
          expect(distance(original, golden.embedding_hf!), `${golden.name}, original ids`).toBeLessThan(FLOAT64);
        }
      }
    } finally {
      model.close();
    }
  });
});
