// Models with random weights and real vocabularies: small ones for tests, and the shapes of well-known models for
// benchmarks. Their vectors carry no meaning, but they have to come out right.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import {
  array,
  bool,
  f32,
  fits,
  Gguf,
  type MetadataValue,
  string,
  type TensorSource,
  type TensorType,
  u32,
  writeGguf,
} from "./gguf.ts";

/** Part of each file's name: raise it when the same spec gives other bytes. */
const GENERATION = 1;

export type Architecture =
  | "bert"
  | "nomic-bert"
  | "nomic-bert-moe"
  | "jina-bert-v2"
  | "modern-bert"
  | "eurobert"
  | "gemma-embedding"
  | "qwen3";

/** Known vocabularies, by the file in llama.cpp's `models/ggml-vocab-*.gguf` that holds them. */
export type Vocabulary = "bert-bge" | "nomic-bert-moe" | "llama-spm" | "qwen2" | "gpt-neox" | "llama-bpe";

export type Pooling = "mean" | "cls" | "last";
const POOLING_IDS: Record<Pooling, number> = { mean: 1, cls: 2, last: 3 };

export interface ModelSpec {
  architecture: Architecture;
  /** One of {@link Vocabulary}, or the path of any GGUF with a vocabulary; default: the architecture's own. */
  vocabulary?: Vocabulary | (string & {});
  /** Adds unused tokens up to this number. */
  vocabularySize?: number;
  layers?: number;
  dim?: number;
  heads?: number;
  kvHeads?: number;
  /** Default: dim / heads. */
  headSize?: number;
  ffn?: number;
  context?: number;
  pooling?: Pooling;
  /** Type of the layers' matrices (F16 where rows are not whole blocks); vectors and small tables are F32. */
  weights?: TensorType;
  /** Type of the token table; default: `weights`, and F16 where those are F32. */
  embeddings?: TensorType;
  /** Width of the sliding window and, every how many layers, a full one. */
  window?: number;
  windowPattern?: number;
  /** Inner width of the dense heads of gemma-embedding; 0: none. */
  dense?: number;
  experts?: number;
  expertsUsed?: number;
  /** Form of the feed-forward gate of jina-bert-v2: a tensor of its own, or the second half of `ffn_up`. */
  fusedGate?: boolean;
  seed?: number;
}

type Shape = Required<Omit<ModelSpec, "vocabularySize">> & { vocabularySize: number };

/** The shapes of published models, for benchmarks. Weights are F16. */
export const SHAPES = {
  "minilm-l6": {
    architecture: "bert",
    layers: 6,
    dim: 384,
    heads: 12,
    ffn: 1536,
    context: 512,
    pooling: "mean",
    weights: "f16",
  },
  "bge-small": {
    architecture: "bert",
    layers: 12,
    dim: 384,
    heads: 12,
    ffn: 1536,
    context: 512,
    pooling: "cls",
    weights: "f16",
  },
  "bge-base": {
    architecture: "bert",
    layers: 12,
    dim: 768,
    heads: 12,
    ffn: 3072,
    context: 512,
    pooling: "cls",
    weights: "f16",
  },
  "nomic-embed": {
    architecture: "nomic-bert",
    layers: 12,
    dim: 768,
    heads: 12,
    ffn: 3072,
    context: 2048,
    pooling: "mean",
    weights: "f16",
  },
  "modernbert-base": {
    architecture: "modern-bert",
    layers: 22,
    dim: 768,
    heads: 12,
    ffn: 1152,
    context: 8192,
    pooling: "cls",
    window: 128,
    windowPattern: 3,
    weights: "f16",
  },
  "embeddinggemma-300m": {
    architecture: "gemma-embedding",
    vocabularySize: 262144,
    layers: 24,
    dim: 768,
    heads: 3,
    kvHeads: 1,
    headSize: 256,
    ffn: 1152,
    context: 2048,
    pooling: "mean",
    window: 512,
    windowPattern: 6,
    dense: 3072,
    weights: "f16",
  },
  "qwen3-embedding-0.6b": {
    architecture: "qwen3",
    layers: 28,
    dim: 1024,
    heads: 16,
    kvHeads: 8,
    headSize: 128,
    ffn: 3072,
    context: 32768,
    pooling: "last",
    weights: "f16",
  },
} as const satisfies Record<string, ModelSpec>;

const DEFAULT_VOCABULARY: Record<Architecture, Vocabulary> = {
  bert: "bert-bge",
  "nomic-bert": "bert-bge",
  "nomic-bert-moe": "nomic-bert-moe",
  "jina-bert-v2": "bert-bge",
  "modern-bert": "gpt-neox",
  eurobert: "llama-bpe",
  "gemma-embedding": "llama-spm",
  qwen3: "qwen2",
};

/** Writes the model once per machine and gives the path of the file. */
export async function makeModel(spec: ModelSpec): Promise<string> {
  const shape = complete(spec);
  const folder = process.env.INLAY_TEST_MODELS ?? join(tmpdir(), "inlay-test-models");
  const key = createHash("sha256")
    .update(JSON.stringify([GENERATION, shape]))
    .digest("hex")
    .slice(0, 16);
  const path = join(folder, `${spec.architecture}-${key}.gguf`);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    writeModel(path, shape);
  }
  return path;
}

/** The folder of llama.cpp's vocabulary files; they are vendored with its sources. */
export function vocabularyFolder(): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    const models = join(folder, "vendor", "llama.cpp", "models");
    if (existsSync(models)) return models;
    if (folder === dirname(folder)) throw new Error("vendor/llama.cpp/models is missing: run `npm run vendor`");
  }
}

function complete(spec: ModelSpec): Shape {
  const decoder = spec.architecture === "qwen3";
  const gemma = spec.architecture === "gemma-embedding";
  const modern = spec.architecture === "modern-bert";
  const dim = spec.dim ?? 64;
  const heads = spec.heads ?? 4;
  const weights = spec.weights ?? "f32";
  return {
    architecture: spec.architecture,
    vocabulary: spec.vocabulary ?? DEFAULT_VOCABULARY[spec.architecture],
    vocabularySize: spec.vocabularySize ?? 0,
    layers: spec.layers ?? 2,
    dim,
    heads,
    kvHeads: spec.kvHeads ?? (decoder ? Math.max(1, heads >> 1) : gemma ? 1 : heads),
    headSize: spec.headSize ?? dim / heads,
    ffn: spec.ffn ?? dim * 2,
    context: spec.context ?? 512,
    pooling: spec.pooling ?? (decoder ? "last" : modern ? "cls" : "mean"),
    weights,
    embeddings: spec.embeddings ?? (weights === "f32" ? "f16" : weights),
    window: spec.window ?? (gemma || modern ? 32 : 0),
    windowPattern: spec.windowPattern ?? (gemma ? 2 : 3),
    dense: spec.dense ?? (gemma ? dim * 4 : 0),
    experts: spec.experts ?? 4,
    expertsUsed: spec.expertsUsed ?? 2,
    fusedGate: spec.fusedGate ?? false,
    seed: spec.seed ?? 1,
  };
}

function writeModel(path: string, shape: Shape): void {
  const known = join(vocabularyFolder(), `ggml-vocab-${shape.vocabulary}.gguf`);
  const file = new Gguf(existsSync(known) ? known : resolve(shape.vocabulary));
  try {
    const tokenizer = tokenizerMetadata(file, shape);
    const tokens = Math.max(shape.vocabularySize, tokenCount(file));
    const tokenTypes = file.number("tokenizer.ggml.token_type_count", 1);
    const name = `synthetic-${file.string("general.name")}`;
    writeGguf(path, [...hyperparameters(shape, name), ...tokenizer], tensors(shape, tokens, tokenTypes));
  } finally {
    file.close();
  }
}

// --- metadata ---

function hyperparameters(shape: Shape, name: string): [string, MetadataValue][] {
  const arch = shape.architecture;
  const own: [string, MetadataValue][] = [
    ["context_length", u32(shape.context)],
    ["embedding_length", u32(shape.dim)],
    ["block_count", u32(shape.layers)],
    ["feed_forward_length", u32(shape.ffn)],
    ["attention.head_count", u32(shape.heads)],
    ["pooling_type", u32(POOLING_IDS[shape.pooling])],
  ];
  if (shape.kvHeads !== shape.heads) own.push(["attention.head_count_kv", u32(shape.kvHeads)]);
  if (shape.headSize * shape.heads !== shape.dim || arch === "qwen3" || arch === "gemma-embedding") {
    own.push(["attention.key_length", u32(shape.headSize)], ["attention.value_length", u32(shape.headSize)]);
  }
  switch (arch) {
    case "bert":
    case "jina-bert-v2":
      own.push(["attention.layer_norm_epsilon", f32(1e-12)], ["attention.causal", bool(false)]);
      break;
    case "nomic-bert":
      own.push(["attention.layer_norm_epsilon", f32(1e-12)], ["attention.causal", bool(false)]);
      own.push(["rope.freq_base", f32(1000)]);
      break;
    case "nomic-bert-moe":
      own.push(["attention.layer_norm_epsilon", f32(1e-5)], ["attention.causal", bool(false)]);
      own.push(["rope.freq_base", f32(10000)], ["moe_every_n_layers", u32(2)]);
      own.push(["expert_count", u32(shape.experts)], ["expert_used_count", u32(shape.expertsUsed)]);
      break;
    case "modern-bert":
      own.push(["attention.layer_norm_epsilon", f32(1e-5)], ["attention.causal", bool(false)]);
      own.push(
        ["rope.freq_base", f32(160000)],
        ["rope.freq_base_swa", f32(10000)],
        ["rope.scaling.type", string("none")],
      );
      own.push(["hidden_activation", string("gelu")]);
      break;
    case "eurobert":
      own.push(["attention.layer_norm_rms_epsilon", f32(1e-5)], ["attention.causal", bool(false)]);
      own.push(["rope.freq_base", f32(250000)]);
      break;
    case "gemma-embedding":
      own.push(["attention.layer_norm_rms_epsilon", f32(1e-6)]);
      own.push(["rope.freq_base", f32(1e6)], ["rope.freq_base_swa", f32(10000)]);
      if (shape.dense > 0) {
        own.push(["dense_2_feat_in", u32(shape.dim)], ["dense_2_feat_out", u32(shape.dense)]);
        own.push(["dense_3_feat_in", u32(shape.dense)], ["dense_3_feat_out", u32(shape.dim)]);
      }
      break;
    case "qwen3":
      own.push(["attention.layer_norm_rms_epsilon", f32(1e-6)], ["rope.freq_base", f32(1e6)]);
      break;
  }
  if (shape.window > 0) {
    own.push(["attention.sliding_window", u32(shape.window)]);
    own.push(["attention.sliding_window_pattern", u32(shape.windowPattern)]);
  }
  return [
    ["general.architecture", string(arch)],
    ["general.name", string(name)],
    ["general.description", string("Random weights, real vocabulary. The embeddings carry no meaning.")],
    ["general.file_type", u32({ f32: 0, f16: 1, bf16: 32, q8_0: 7, q4_0: 2 }[shape.weights])],
    ["general.quantization_version", u32(2)],
    ...own.map(([key, value]): [string, MetadataValue] => [`${arch}.${key}`, value]),
  ];
}

function tokenCount(file: Gguf): number {
  const value = file.raw("tokenizer.ggml.tokens") as { type: "raw"; bytes: Uint8Array };
  // After the value's type and the elements' type comes their number.
  return new DataView(value.bytes.buffer, value.bytes.byteOffset).getUint32(8, true);
}

/** The vocabulary's own keys, with the special tokens that an embedding model of this architecture adds to a text. */
function tokenizerMetadata(file: Gguf, shape: Shape): Map<string, MetadataValue> {
  const metadata = new Map<string, MetadataValue>();
  for (const key of file.keys) {
    if (key.startsWith("tokenizer.ggml.")) metadata.set(key, file.raw(key));
  }
  const set = (key: string, value: MetadataValue) => metadata.set(`tokenizer.ggml.${key}`, value);
  if (["bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2"].includes(shape.architecture)) {
    if (!metadata.has("tokenizer.ggml.token_type_count")) set("token_type_count", u32(1));
  }
  if (shape.vocabulary === "llama-spm" || shape.vocabulary === "llama-bpe") {
    set("add_bos_token", bool(true));
    set("add_eos_token", bool(true));
    if (shape.vocabulary === "llama-spm") set("padding_token_id", u32(0));
  } else if (shape.vocabulary === "qwen2") {
    set("add_bos_token", bool(false));
    set("add_eos_token", bool(true));
  } else if (shape.vocabulary === "gpt-neox" && shape.architecture === "modern-bert") {
    addModernBertTokens(file, metadata);
  }
  if (shape.vocabularySize > tokenCount(file)) addUnusedTokens(file, shape.vocabularySize, metadata);
  return metadata;
}

const TOKEN_CONTROL = 3;
const TOKEN_UNUSED = 5;

/** ModernBERT's vocabulary is that of gpt-neox with these five where that one has padding. */
function addModernBertTokens(file: Gguf, metadata: Map<string, MetadataValue>): void {
  const tokens = file.get("tokenizer.ggml.tokens") as string[];
  const types = file.get("tokenizer.ggml.token_type") as number[];
  const ids = new Map(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"].map((token, i) => [token, 50280 + i]));
  for (const [token, id] of ids) {
    tokens[id] = token;
    types[id] = TOKEN_CONTROL;
  }
  const set = (key: string, value: MetadataValue) => metadata.set(`tokenizer.ggml.${key}`, value);
  set("pre", string("modern-bert"));
  set("tokens", array("string", tokens));
  set("token_type", array("i32", types));
  set("unknown_token_id", u32(ids.get("[UNK]")!));
  set("bos_token_id", u32(ids.get("[CLS]")!));
  set("eos_token_id", u32(ids.get("[SEP]")!));
  set("seperator_token_id", u32(ids.get("[SEP]")!));
  set("padding_token_id", u32(ids.get("[PAD]")!));
  set("mask_token_id", u32(ids.get("[MASK]")!));
  for (const special of ["bos", "eos", "sep"]) set(`add_${special}_token`, bool(true));
}

function addUnusedTokens(file: Gguf, size: number, metadata: Map<string, MetadataValue>): void {
  const pad = <T>(key: string, filler: (index: number) => T): T[] => {
    const values = file.get(`tokenizer.ggml.${key}`) as T[];
    while (values.length < size) values.push(filler(values.length));
    return values;
  };
  const set = (key: string, value: MetadataValue) => metadata.set(`tokenizer.ggml.${key}`, value);
  set(
    "tokens",
    array(
      "string",
      pad("tokens", (index) => `<unused${index}>`),
    ),
  );
  set(
    "token_type",
    array(
      "i32",
      pad("token_type", () => TOKEN_UNUSED),
    ),
  );
  if (file.has("tokenizer.ggml.scores"))
    set(
      "scores",
      array(
        "f32",
        pad("scores", () => -1e6),
      ),
    );
}

// --- weights ---

/**
 * The tensors of an architecture as llama.cpp's `src/models/*.cpp` name them. Deviations are chosen so that layers
 * keep the size of their input and unrelated texts stay apart.
 */
function tensors(shape: Shape, tokens: number, tokenTypes: number): TensorSource[] {
  const { architecture: arch, dim, ffn, weights, seed } = shape;
  const all: TensorSource[] = [];
  const add = (name: string, dims: number[], type: TensorType, mean: number, deviation: number) =>
    all.push({ name, shape: dims, type, fill: normal(seed, name, mean, deviation) });
  const matrixType = (rows: number): TensorType => (fits(weights, rows) ? weights : "f16");
  const matrix = (name: string, dims: number[], gain = 1.2) =>
    add(`${name}.weight`, dims, matrixType(dims[0]!), 0, gain / Math.sqrt(dims[0]!));
  const norm = (name: string, length = dim) => add(`${name}.weight`, [length], "f32", 1, 0.2);
  const bias = (name: string, length = dim) => add(`${name}.bias`, [length], "f32", 0, 0.03);

  const query = shape.heads * shape.headSize;
  const key = shape.kvHeads * shape.headSize;
  const embeddings = fits(shape.embeddings, dim) ? shape.embeddings : "f16";
  add("token_embd.weight", [dim, tokens], embeddings, 0, arch === "qwen3" || arch === "eurobert" ? 0.3 : 0.05);

  const block = BLOCKS[arch];
  if (block === bertBlock) {
    add("token_types.weight", [dim, tokenTypes], "f32", 0, 0.015);
    if (arch === "bert") add("position_embd.weight", [dim, shape.context], "f32", 0, 0.02);
    norm("token_embd_norm");
    bias("token_embd_norm");
  } else if (arch === "modern-bert") {
    norm("token_embd_norm");
  }
  for (let layer = 0; layer < shape.layers; layer++) {
    block({ shape, layer, blk: `blk.${layer}`, query, key, ffn, dim, matrix, norm, bias, add });
  }
  if (block !== bertBlock) norm("output_norm");
  if (arch === "gemma-embedding" && shape.dense > 0) {
    matrix("dense_2", [dim, shape.dense]);
    matrix("dense_3", [shape.dense, dim]);
  }
  return all;
}

interface Block {
  shape: Shape;
  layer: number;
  blk: string;
  /** Widths of all query heads and of all key (or value) heads. */
  query: number;
  key: number;
  ffn: number;
  dim: number;
  matrix(name: string, dims: number[], gain?: number): void;
  norm(name: string, length?: number): void;
  bias(name: string, length?: number): void;
  add(name: string, dims: number[], type: TensorType, mean: number, deviation: number): void;
}

const BLOCKS: Record<Architecture, (block: Block) => void> = {
  bert: bertBlock,
  "nomic-bert": bertBlock,
  "nomic-bert-moe": bertBlock,
  "jina-bert-v2": bertBlock,
  "modern-bert": modernBertBlock,
  eurobert: decoderBlock,
  "gemma-embedding": decoderBlock,
  qwen3: decoderBlock,
};

function bertBlock({ shape, layer, blk, query, key, ffn, dim, matrix, norm, bias, add }: Block): void {
  const arch = shape.architecture;
  const biased = arch !== "nomic-bert";
  if (arch === "nomic-bert" || arch === "nomic-bert-moe") {
    matrix(`${blk}.attn_qkv`, [dim, query + 2 * key]);
    if (biased) bias(`${blk}.attn_qkv`, query + 2 * key);
  } else {
    for (const [part, width] of [
      ["q", query],
      ["k", key],
      ["v", key],
    ] as const) {
      matrix(`${blk}.attn_${part}`, [dim, width], 1.5);
      bias(`${blk}.attn_${part}`, width);
    }
  }
  matrix(`${blk}.attn_output`, [query, dim]);
  if (biased) bias(`${blk}.attn_output`);
  norm(`${blk}.attn_output_norm`);
  bias(`${blk}.attn_output_norm`);
  if (arch === "nomic-bert-moe" && layer % 2 === 1) {
    add(`${blk}.ffn_gate_inp.weight`, [dim, shape.experts], "f32", 0, 2 / Math.sqrt(dim));
    matrix(`${blk}.ffn_up_exps`, [dim, ffn, shape.experts]);
    matrix(`${blk}.ffn_down_exps`, [ffn, dim, shape.experts], 2);
  } else {
    const gated = arch === "nomic-bert" || (arch === "jina-bert-v2" && !shape.fusedGate);
    matrix(`${blk}.ffn_up`, [dim, shape.fusedGate ? 2 * ffn : ffn]);
    if (gated) matrix(`${blk}.ffn_gate`, [dim, ffn]);
    matrix(`${blk}.ffn_down`, [ffn, dim], 1.6);
    if (arch === "bert" || arch === "nomic-bert-moe") bias(`${blk}.ffn_up`, ffn);
    if (biased) bias(`${blk}.ffn_down`);
  }
  norm(`${blk}.layer_output_norm`);
  bias(`${blk}.layer_output_norm`);
}

function modernBertBlock({ layer, blk, query, key, ffn, dim, matrix, norm }: Block): void {
  if (layer > 0) norm(`${blk}.attn_norm`);
  matrix(`${blk}.attn_qkv`, [dim, query + 2 * key]);
  matrix(`${blk}.attn_output`, [query, dim]);
  norm(`${blk}.ffn_norm`);
  matrix(`${blk}.ffn_up`, [dim, 2 * ffn]);
  matrix(`${blk}.ffn_down`, [ffn, dim], 1.6);
}

function decoderBlock({ shape, blk, query, key, ffn, dim, matrix, norm }: Block): void {
  norm(`${blk}.attn_norm`);
  matrix(`${blk}.attn_q`, [dim, query]);
  matrix(`${blk}.attn_k`, [dim, key]);
  matrix(`${blk}.attn_v`, [dim, key]);
  if (shape.architecture !== "eurobert") {
    norm(`${blk}.attn_q_norm`, shape.headSize);
    norm(`${blk}.attn_k_norm`, shape.headSize);
  }
  matrix(`${blk}.attn_output`, [query, dim], 1);
  if (shape.architecture === "gemma-embedding") norm(`${blk}.post_attention_norm`);
  norm(`${blk}.ffn_norm`);
  matrix(`${blk}.ffn_gate`, [dim, ffn]);
  matrix(`${blk}.ffn_up`, [dim, ffn]);
  matrix(`${blk}.ffn_down`, [ffn, dim], 1.6);
  if (shape.architecture === "gemma-embedding") norm(`${blk}.post_ffw_norm`);
}

// --- random numbers ---

/** mulberry32: 32 random bits per call from a 32-bit state. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return (bits ^ (bits >>> 14)) >>> 0;
  };
}

/** 65536 draws from the standard normal distribution (Box–Muller). */
const NORMAL = (() => {
  const next = random(20250101);
  const uniform = () => (next() + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length: 65536 },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
})();

/** Fills a tensor from front to back; each word of randomness picks two values of the table. */
function normal(seed: number, name: string, mean: number, deviation: number): TensorSource["fill"] {
  const key = createHash("sha256").update(`${seed}/${name}`).digest().readUInt32LE(0);
  const next = random(key);
  return (out) => {
    for (let i = 0; i < out.length; i += 2) {
      const bits = next();
      out[i] = mean + deviation * NORMAL[bits & 0xffff]!;
      out[i + 1] = mean + deviation * NORMAL[bits >>> 16]!;
    }
  };
}
