// The models of a benchmark run: one set of weights in the formats that the peers read, made once and kept.
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gguf } from "../test/support/gguf.ts";
import { type ModelSpec, makeModel, SHAPES } from "../test/support/synthetic.ts";
import { tokenizerJson } from "../test/support/tokenizer-json.ts";
import { writeBertOnnx } from "./onnx/bert.ts";

export const MODEL_NAMES = [
  "minilm-l6",
  "bge-base",
  "nomic-embed",
  "embeddinggemma-300m",
  "qwen3-embedding-0.6b",
] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

export interface BenchModel {
  name: ModelName;
  spec: ModelSpec;
  /** Weights as GGUF: F16 as the shapes are published, and the same quantised to Q8_0. */
  f16: string;
  q8: string;
  /** For BERT shapes: a folder as Hugging Face lays it out, with `onnx/model.onnx` and `onnx/model_quantized.onnx`. */
  folder?: string;
}

/** Cache of everything that is generated, this program's bundle included; git-ignored. */
export const CACHE = join(__dirname, "..");

export async function prepareModel(name: ModelName): Promise<BenchModel> {
  process.env.INLAY_TEST_MODELS ??= join(CACHE, "models");
  const spec: ModelSpec = SHAPES[name];
  const f16 = await makeModel(spec);
  const q8 = await makeModel({ ...spec, weights: "q8_0" });
  if (spec.architecture !== "bert") return { name, spec, f16, q8 };
  return { name, spec, f16, q8, folder: huggingFaceFolder(name, spec, f16) };
}

function huggingFaceFolder(name: ModelName, spec: ModelSpec, gguf: string): string {
  const folder = join(CACHE, "onnx", name);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  mkdirSync(join(draft, "onnx"), { recursive: true });
  writeBertOnnx(gguf, join(draft, "onnx", "model.onnx"), "fp32");
  writeBertOnnx(gguf, join(draft, "onnx", "model_quantized.onnx"), "int8");
  const json = (file: string, value: unknown) => writeFileSync(join(draft, file), JSON.stringify(value));
  const file = new Gguf(gguf);
  const id = (token: string) => file.number(`tokenizer.ggml.${token}_token_id`);
  const ids = { "[CLS]": id("cls"), "[SEP]": id("seperator"), "[PAD]": id("padding"), "[UNK]": id("unknown") };
  json("tokenizer.json", {
    ...tokenizerJson(file, { parseSpecial: true }),
    post_processor: {
      type: "BertProcessing",
      sep: ["[SEP]", ids["[SEP]"]],
      cls: ["[CLS]", ids["[CLS]"]],
    },
  });
  json("tokenizer_config.json", {
    tokenizer_class: "BertTokenizer",
    model_max_length: spec.context,
    pad_token: "[PAD]",
    cls_token: "[CLS]",
    sep_token: "[SEP]",
    unk_token: "[UNK]",
    do_lower_case: true,
  });
  json("special_tokens_map.json", {
    pad_token: "[PAD]",
    cls_token: "[CLS]",
    sep_token: "[SEP]",
    unk_token: "[UNK]",
  });
  json("config.json", {
    model_type: "bert",
    architectures: ["BertModel"],
    hidden_size: spec.dim,
    num_hidden_layers: spec.layers,
    num_attention_heads: spec.heads,
    intermediate_size: spec.ffn,
    max_position_embeddings: spec.context,
    vocab_size: (file.get("tokenizer.ggml.tokens") as string[]).length,
    type_vocab_size: 2,
    hidden_act: "gelu",
    layer_norm_eps: 1e-12,
    pad_token_id: ids["[PAD]"],
  });
  file.close();
  renameSync(draft, folder);
  return folder;
}
