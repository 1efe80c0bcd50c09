import { describe, expect, onTestFinished, type TestContext, test } from "vitest";
import { type EmbeddingModel, InlayError, type LoadOptions, loadModel } from "../lib/index.ts";
import { Gguf } from "./support/gguf.ts";
import { goldenModel, goldenNames, hasReference } from "./support/golden.ts";
import { distance, type GeluForm, referenceEmbedding } from "./support/reference.ts";
import { type ModelSpec, makeModel } from "./support/synthetic.ts";
import { TEXTS } from "./support/texts.ts";

/** A way to run a model, with what it may cost in 1 − cos and which form of GELU it computes. */
interface Way {
  options: LoadOptions;
  gelu: GeluForm;
  tolerance: number;
  /** The same for weights below 8 bits per element's own precision, where the engine multiplies in int8. */
  quantised: number;
}

// ggml: GELU from a table of float16, keys and values in float16, int8 products with quantised weights.
// fused: float32 throughout, or bfloat16 activations; quantised weights are decoded once.
const WAYS: Record<string, Way> = {
  "ggml, f32": { options: { engine: "ggml", device: "cpu" }, gelu: "tanh", tolerance: 1e-5, quantised: 5e-3 },
  "fused, f32": { options: { engine: "fused", precision: "f32" }, gelu: "erf", tolerance: 1e-8, quantised: 1e-8 },
  "fused, bf16": { options: { engine: "fused", precision: "bf16" }, gelu: "erf", tolerance: 5e-4, quantised: 5e-4 },
};

const TOKENIZERS = ["llama", "exact"] as const;

describe.skipIf(!hasReference)("the reference models give their golden vectors", () => {
  for (const name of goldenNames) {
    describe.each(Object.entries(WAYS))(`${name}, %s`, (_, way) => {
      test.for(TOKENIZERS)("%s tokenizer", async (tokenizer, context) => {
        const { path, dims, texts } = goldenModel(name);
        const model = await load(context, path, { ...way.options, tokenizer });
        expect(model.info.dimensions).toBe(dims);
        expect(model.info.tokenizer).toBe(tokenizer);
        const result = await model.embed(texts.map(({ text }) => text));
        for (const [i, golden] of texts.entries()) {
          const original = tokenizer === "exact" && golden.ids_hf !== undefined;
          const ids = original ? golden.ids_hf! : golden.ids;
          const erf = original ? golden.embedding_hf! : golden.embedding;
          const tanh = original ? golden.embedding_tanh_gelu_hf : golden.embedding_tanh_gelu;
          expect(Array.from(await model.tokenize(golden.text)), golden.name).toEqual(ids);
          expect(result.tokens[i], golden.name).toBe(ids.length);
          expectVector(result.embeddings[i]!, way.gelu === "tanh" ? (tanh ?? erf) : erf, way.tolerance, golden.name);
        }
        expect(result.truncated).toEqual([]);
      });
    });
  }
});

const ARCHITECTURES: ModelSpec[] = [
  { architecture: "bert", layers: 3, dim: 96, heads: 3, ffn: 200 },
  { architecture: "bert", vocabulary: "nomic-bert-moe", dim: 32, heads: 2, pooling: "cls" },
  { architecture: "nomic-bert", layers: 3, dim: 64, heads: 2, ffn: 160 },
  { architecture: "nomic-bert-moe", layers: 3, dim: 32, heads: 2 },
  { architecture: "jina-bert-v2", heads: 4 },
  { architecture: "jina-bert-v2", heads: 3, dim: 96, fusedGate: true },
  { architecture: "modern-bert", layers: 4, window: 12 },
  { architecture: "eurobert", dim: 64, heads: 4, kvHeads: 2 },
  { architecture: "gemma-embedding", layers: 4, headSize: 32, kvHeads: 2, window: 10, windowPattern: 3 },
  { architecture: "gemma-embedding", dim: 96, heads: 3, dense: 0 },
  { architecture: "qwen3", layers: 3, headSize: 32 },
];
const WEIGHTS = ["f32", "f16", "bf16", "q8_0", "q4_0"] as const;

describe.each(Object.entries(WAYS))("generated models give the reference's vectors: %s", (_, way) => {
  for (const spec of ARCHITECTURES) {
    test.for(WEIGHTS)(`${title(spec)}, %s`, async (weights, context) => {
      const path = await makeModel({ ...spec, weights, seed: 7 });
      const model = await load(context, path, way.options);
      const result = await model.embed(TEXTS);
      const file = new Gguf(path);
      onTestFinished(() => file.close());
      const tolerance = weights.startsWith("q") ? way.quantised : way.tolerance;
      for (const [i, text] of TEXTS.entries()) {
        const ids = await model.tokenize(text);
        expect(result.tokens[i]).toBe(ids.length);
        const gelu = spec.architecture === "gemma-embedding" ? "tanh" : way.gelu;
        expectVector(result.embeddings[i]!, referenceEmbedding(file, ids, { gelu }), tolerance, text.slice(0, 20));
      }
    });
  }
});

function title({ architecture, vocabulary, dim = 64, heads = 4 }: ModelSpec): string {
  return `${architecture}${vocabulary ? ` with ${vocabulary}` : ""} ${heads} heads of ${dim}`;
}

/** The model; where this machine or build cannot run it that way, the test is skipped with the reason. */
async function load(context: TestContext, path: string, options: LoadOptions): Promise<EmbeddingModel> {
  try {
    const model = await loadModel(path, options);
    onTestFinished(() => model.dispose());
    return model;
  } catch (error) {
    const optional = options.engine === "fused";
    if (optional && error instanceof InlayError && error.code === "ERR_MODEL_UNSUPPORTED") context.skip(error.message);
    throw error;
  }
}

function expectVector(actual: Float32Array, expected: ArrayLike<number>, tolerance: number, name: string): void {
  const norm = Math.sqrt(actual.reduce((sum, value) => sum + value * value, 0));
  expect(Math.abs(norm - 1), `${name}: norm`).toBeLessThanOrEqual(1e-6);
  expect(distance(actual, expected), `${name}: 1 - cos`).toBeLessThanOrEqual(tolerance);
}
