// Writes the built-in model, a lexical embedder of architecture `bert` (docs/builtin-model.md):
//   node native/scripts/builtin-model.mjs models/builtin.gguf
//
// One layer turns token vectors into a text vector without training. A token's embedding is its direction t (from
// character n-grams) times its weight s, filled up to the one length that LayerNorm leaves alone with a direction u
// that all tokens share. Queries and keys are zero, so [CLS] attends to every token alike; the value projection takes
// u away, so what it collects is the mean of s·t. The output projection makes that large against the residual, the
// feed-forward part is zero, and LayerNorm changes only the length.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { f16Bytes, f32Bytes, Q4_0_BLOCK_BYTES, readMetadata, TYPE, writeGguf, writeQ4Row } from "./builtin/gguf.mjs";
import { tokenDirection, tokenWeight } from "./builtin/vectors.mjs";
import { buildVocabulary, SPECIAL } from "./builtin/vocabulary.mjs";

const SOURCE = new URL("../../vendor/llama.cpp/models/ggml-vocab-nomic-bert-moe.gguf", import.meta.url);

const VOCABULARY = 36_000;
const DIMENSIONS = 256;
const HEADS = 4;
const FEED_FORWARD = 32;
const CONTEXT = 2048;
// Exact in every float format; the residual is then at most a few per cent, for the longest texts.
const OUTPUT_SCALE = 2048;
const WEIGHT_SCALE = 1e-5;

const NORMAL_TOKEN = 1;
const UNKNOWN_TOKEN = 2;
const CONTROL_TOKEN = 3;
const CLS_POOLING = 2;
const MOSTLY_Q4_0 = 2;

function readPieces() {
  const metadata = readMetadata(fileURLToPath(SOURCE));
  const types = metadata["tokenizer.ggml.token_type"];
  const scores = metadata["tokenizer.ggml.scores"];
  return metadata["tokenizer.ggml.tokens"]
    .map((text, id) => ({ text, score: scores[id], type: types[id] }))
    .filter(({ type }) => type === NORMAL_TOKEN);
}

/** The direction all tokens share: ±1 by turns, so its mean is 0. */
const shared = Float64Array.from({ length: DIMENSIONS }, (_, i) => (i % 2 === 0 ? 1 : -1));

/** Mean 0, variance 1. */
function tokenEmbedding(token) {
  const weight = tokenWeight(token.probability, WEIGHT_SCALE);
  const direction = tokenDirection(token, shared);
  const rest = Math.sqrt(1 - weight ** 2);
  return direction.map((x, i) => weight * Math.sqrt(DIMENSIONS) * x + rest * shared[i]);
}

function embeddingTable(vocabulary) {
  const rowBytes = (DIMENSIONS / 32) * Q4_0_BLOCK_BYTES;
  const bytes = Buffer.alloc((SPECIAL.length + vocabulary.length) * rowBytes);
  const write = (row, values) => writeQ4Row(values, bytes, row * rowBytes);
  SPECIAL.forEach((_, row) => {
    write(row, shared);
  });
  vocabulary.forEach((token, index) => {
    write(SPECIAL.length + index, tokenEmbedding(token));
  });
  return bytes;
}

const matrix = (rows, columns, value) =>
  Float64Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));

function tensors(vocabulary) {
  const f32 = (name, shape, values) => ({ name, shape, type: TYPE.f32, bytes: f32Bytes(values) });
  const f16 = (name, shape, values) => ({ name, shape, type: TYPE.f16, bytes: f16Bytes(values) });
  const zeros = (size) => new Float64Array(size);
  const norm = (name) => [
    f32(`${name}.weight`, [DIMENSIONS], zeros(DIMENSIONS).fill(1)),
    f32(`${name}.bias`, [DIMENSIONS], zeros(DIMENSIONS)),
  ];
  const linear = (name, inputs, outputs, value) => [
    f16(`${name}.weight`, [inputs, outputs], value ? matrix(outputs, inputs, value) : zeros(inputs * outputs)),
    f32(`${name}.bias`, [outputs], zeros(outputs)),
  ];
  const identity = (row, column) => (row === column ? 1 : 0);
  const withoutShared = (row, column) => identity(row, column) - (shared[row] * shared[column]) / DIMENSIONS;

  const positions = Buffer.alloc((CONTEXT * DIMENSIONS * Q4_0_BLOCK_BYTES) / 32);
  for (let row = 0; row < CONTEXT; row++) {
    writeQ4Row(zeros(DIMENSIONS), positions, (row * positions.length) / CONTEXT);
  }
  return [
    {
      name: "token_embd.weight",
      shape: [DIMENSIONS, SPECIAL.length + vocabulary.length],
      type: TYPE.q4_0,
      bytes: embeddingTable(vocabulary),
    },
    f32("token_types.weight", [DIMENSIONS, 2], zeros(2 * DIMENSIONS)),
    { name: "position_embd.weight", shape: [DIMENSIONS, CONTEXT], type: TYPE.q4_0, bytes: positions },
    ...norm("token_embd_norm"),
    ...linear("blk.0.attn_q", DIMENSIONS, DIMENSIONS),
    ...linear("blk.0.attn_k", DIMENSIONS, DIMENSIONS),
    ...linear("blk.0.attn_v", DIMENSIONS, DIMENSIONS, withoutShared),
    ...linear("blk.0.attn_output", DIMENSIONS, DIMENSIONS, (row, column) => OUTPUT_SCALE * identity(row, column)),
    ...norm("blk.0.attn_output_norm"),
    ...linear("blk.0.ffn_up", DIMENSIONS, FEED_FORWARD),
    ...linear("blk.0.ffn_down", FEED_FORWARD, DIMENSIONS),
    ...norm("blk.0.layer_output_norm"),
  ];
}

function metadata(vocabulary) {
  const special = (token) => SPECIAL.indexOf(token);
  return [
    ["general.architecture", "string", "bert"],
    ["general.name", "string", "inlay lexical (built-in)"],
    [
      "general.description",
      "string",
      "Lexical: compares the letters of words, not their meaning. For first runs, tests and fuzzy keyword search.",
    ],
    ["general.file_type", "u32", MOSTLY_Q4_0],
    ["general.quantization_version", "u32", 2],
    ["bert.context_length", "u32", CONTEXT],
    ["bert.embedding_length", "u32", DIMENSIONS],
    ["bert.block_count", "u32", 1],
    ["bert.feed_forward_length", "u32", FEED_FORWARD],
    ["bert.attention.head_count", "u32", HEADS],
    ["bert.attention.layer_norm_epsilon", "f32", 1e-12],
    ["bert.attention.causal", "bool", false],
    ["bert.pooling_type", "u32", CLS_POOLING],
    ["tokenizer.ggml.model", "string", "bert"],
    ["tokenizer.ggml.pre", "string", "bert-bge"],
    ["tokenizer.ggml.token_type_count", "u32", 2],
    ["tokenizer.ggml.tokens", "string", [...SPECIAL, ...vocabulary.map(({ token }) => token)]],
    [
      "tokenizer.ggml.token_type",
      "i32",
      [
        ...SPECIAL.map((token) => (token === "[UNK]" ? UNKNOWN_TOKEN : CONTROL_TOKEN)),
        ...vocabulary.map(() => NORMAL_TOKEN),
      ],
    ],
    ["tokenizer.ggml.padding_token_id", "u32", special("[PAD]")],
    ["tokenizer.ggml.unknown_token_id", "u32", special("[UNK]")],
    ["tokenizer.ggml.cls_token_id", "u32", special("[CLS]")],
    ["tokenizer.ggml.seperator_token_id", "u32", special("[SEP]")],
    ["tokenizer.ggml.mask_token_id", "u32", special("[MASK]")],
  ];
}

const path = process.argv[2];
if (!path) {
  console.error("usage: node native/scripts/builtin-model.mjs <path of the GGUF to write>");
  process.exit(2);
}
const vocabulary = buildVocabulary(readPieces(), VOCABULARY);
mkdirSync(dirname(path), { recursive: true });
const size = writeGguf(path, metadata(vocabulary), tensors(vocabulary));
console.log(
  `${path}: ${SPECIAL.length + vocabulary.length} tokens, ${DIMENSIONS} dimensions, ${(size / 1e6).toFixed(1)} MB`,
);
