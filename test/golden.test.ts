import { afterAll, describe, expect, onTestFinished, type TestContext, test } from "vitest";
import { type EmbeddingModel, InlayError, type LoadOptions, loadModel } from "../lib/index.ts";
import { Gguf, type TensorType } from "./support/gguf.ts";
import { goldenModel, goldenNames, hasReference } from "./support/golden.ts";
import { distance, type GeluForm, referenceEmbedding } from "./support/reference.ts";
import { type ModelSpec, makeModel } from "./support/synthetic.ts";
import { TEXTS } from "./support/texts.ts";

/** A way to run a model, the form of GELU it computes, and what it may cost in 1 − cos for each type of weights. */
interface Way {
  options: LoadOptions;
  gelu: GeluForm;
  tolerance: Record<TensorType, number>;
}

const same = (tolerance: number): Way["tolerance"] => ({
  f32: tolerance,
  f16: tolerance,
  bf16: tolerance,
  q8_0: tolerance,
  q4_0: tolerance,
});

const WAYS: Record<string, Way> = {
  // GELU from a table of float16, keys and values in float16; activations rounded to the type of the weights.
  ggml: {
    options: { engine: "ggml", device: "cpu" },
    gelu: "tanh",
    tolerance: { f32: 1e-5, f16: 1e-5, bf16: 5e-4, q8_0: 5e-3, q4_0: 5e-3 },
  },
  // Every type of weights is decoded once; the arithmetic is float32, or float32 sums of bfloat16 products.
  "fused f32": { options: { engine: "fused", precision: "f32" }, gelu: "erf", tolerance: same(1e-8) },
  "fused bf16": { options: { engine: "fused", precision: "bf16" }, gelu: "erf", tolerance: same(5e-4) },
  "fused int8": { options: { engine: "fused", precision: "int8" }, gelu: "erf", tolerance: same(1e-2) },
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
          expectVector(
            result.embeddings[i]!,
            way.gelu === "tanh" ? (tanh ?? erf) : erf,
            way.tolerance.f16,
            golden.name,
          );
        }
        expect(result.truncated).toEqual([]);
      });
    });
  }
});

const GENERATED: ModelSpec[] = [
  ...(["f32", "f16", "bf16", "q8_0", "q4_0"] as const).map(
    (weights): ModelSpec => ({ architecture: "bert", layers: 3, dim: 96, heads: 3, ffn: 224, weights }),
  ),
  { architecture: "bert", vocabulary: "nomic-bert-moe", dim: 32, heads: 2, pooling: "cls", weights: "q8_0" },
  { architecture: "nomic-bert", layers: 3, dim: 64, heads: 2, ffn: 160, weights: "f32" },
  { architecture: "nomic-bert", dim: 128, heads: 2, weights: "q4_0" },
  { architecture: "nomic-bert-moe", layers: 3, dim: 32, heads: 2, weights: "f32" },
  { architecture: "nomic-bert-moe", dim: 64, heads: 2, ffn: 160, experts: 8, weights: "q8_0" },
  { architecture: "jina-bert-v2", heads: 4, weights: "f32" },
  { architecture: "jina-bert-v2", heads: 3, dim: 96, fusedGate: true, weights: "f16" },
  { architecture: "modern-bert", layers: 4, window: 12, weights: "f32" },
  { architecture: "modern-bert", layers: 2, dim: 96, heads: 3, weights: "bf16" },
  { architecture: "eurobert", dim: 64, heads: 4, kvHeads: 2, weights: "f16" },
  {
    architecture: "gemma-embedding",
    layers: 4,
    headSize: 32,
    kvHeads: 2,
    window: 10,
    windowPattern: 3,
    weights: "f32",
  },
  { architecture: "gemma-embedding", dim: 96, heads: 3, dense: 0, weights: "q8_0" },
  { architecture: "qwen3", layers: 3, headSize: 32, weights: "f16" },
  { architecture: "qwen3", dim: 96, heads: 3, kvHeads: 3, weights: "q8_0" },
];

/** The others have no GELU or are defined with its tanh form. */
const DEFINED_WITH_ERF = new Set(["bert", "nomic-bert-moe", "jina-bert-v2", "modern-bert"]);

describe.each(Object.entries(WAYS))("generated models give the reference's vectors: %s", (_, way) => {
  test.for(GENERATED.map((spec) => [title(spec), spec] as const))("%s", async ([, spec], context) => {
    const path = await makeModel({ ...spec, seed: 7 });
    const model = await load(context, path, way.options);
    const result = await model.embed(TEXTS);
    const gelu = DEFINED_WITH_ERF.has(spec.architecture) ? way.gelu : "tanh";
    for (const [i, text] of TEXTS.entries()) {
      const ids = await model.tokenize(text);
      expect(result.tokens[i]).toBe(ids.length);
      expectVector(result.embeddings[i]!, reference(path, ids, gelu), way.tolerance[spec.weights!], text.slice(0, 20));
    }
  });
});

const references = new Map<string, Float64Array>();
const files = new Map<string, Gguf>();
afterAll(() => {
  for (const file of files.values()) file.close();
});

/** The reference's vector; computed once for all ways. */
function reference(path: string, ids: Int32Array, gelu: GeluForm): Float64Array {
  const key = `${path} ${gelu} ${ids}`;
  const known = references.get(key);
  if (known) return known;
  const file = files.get(path) ?? new Gguf(path);
  files.set(path, file);
  const vector = referenceEmbedding(file, ids, { gelu });
  references.set(key, vector);
  return vector;
}

function title({ architecture, vocabulary, dim = 64, heads = 4, weights, fusedGate }: ModelSpec): string {
  const notes = [vocabulary && `vocabulary of ${vocabulary}`, fusedGate && "gate in ffn_up"].filter(Boolean);
  return [architecture, `${heads} heads of ${dim}`, weights, ...notes].join(", ");
}

/** The model; where this CPU has no bfloat16, the test is skipped and says so. */
async function load(context: TestContext, path: string, options: LoadOptions): Promise<EmbeddingModel> {
  try {
    const model = await loadModel(path, options);
    onTestFinished(() => model.dispose());
    return model;
  } catch (error) {
    const optional = options.engine === "fused" && options.precision === "bf16";
    if (optional && error instanceof InlayError && error.code === "ERR_MODEL_UNSUPPORTED") context.skip(error.message);
    throw error;
  }
}

function expectVector(actual: Float32Array, expected: ArrayLike<number>, tolerance: number, name: string): void {
  const norm = Math.sqrt(actual.reduce((sum, value) => sum + value * value, 0));
  expect(Math.abs(norm - 1), `${name}: norm`).toBeLessThanOrEqual(1e-6);
  expect(distance(actual, expected), `${name}: 1 - cos`).toBeLessThanOrEqual(tolerance);
}
