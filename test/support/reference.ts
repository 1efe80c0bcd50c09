// Plain float64 forward passes from token ids to a normalised vector: one text at a time, no padding, no cache, no
// tricks. One short function per architecture; what they share stands below them. Slow on purpose.
import type { Gguf } from "./gguf.ts";

/** BERT-like models are defined with the erf form of GELU; ggml computes the tanh form for every model. */
export type GeluForm = "erf" | "tanh";

export interface ReferenceOptions {
  /** Default: the form the model is defined with. */
  gelu?: GeluForm;
}

/** Hidden states: one row per token. */
type Rows = Float64Array[];

/** The golden vector of a text whose tokens (special ones included) are `ids`. */
export function referenceEmbedding(model: Gguf, ids: ArrayLike<number>, options: ReferenceOptions = {}): Float64Array {
  const architecture = model.string("general.architecture");
  const forward = ARCHITECTURES[architecture];
  if (!forward) throw new Error(`no reference for the architecture ${architecture}`);
  const tokens = Array.from(ids);
  const pooled = pool(model, forward(model, tokens, options.gelu));
  return normalised(denseHeads(model, pooled));
}

/** 1 − cos of two unit vectors without cancellation. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`vectors of ${a.length} and ${b.length} dimensions`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum / 2;
}

// --- architectures ---

const ARCHITECTURES: Record<string, (model: Gguf, ids: number[], gelu?: GeluForm) => Rows> = {
  bert,
  "nomic-bert": nomicBert,
  "nomic-bert-moe": nomicBertMoe,
  "jina-bert-v2": jinaBertV2,
  "modern-bert": modernBert,
  eurobert,
  "gemma-embedding": gemmaEmbedding,
  qwen3,
};

/** Devlin et al. 2019, arXiv:1810.04805. Post-norm, learned positions, token type 0. */
function bert(model: Gguf, ids: number[], form: GeluForm = "erf"): Rows {
  const h = hyperparameters(model);
  const type = model.row("token_types.weight", 0);
  const embedded = embed(model, ids).map((x, position) => {
    const learned = model.row("position_embd.weight", position);
    return x.map((value, i) => value + type[i]! + learned[i]!);
  });
  let rows = layerNorm(model, "token_embd_norm", embedded, h.epsilon);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const mixed = linear(model, `${blk}.attn_output`, attention(queryKeyValue(model, blk, rows, h), h));
    rows = layerNorm(model, `${blk}.attn_output_norm`, add(rows, mixed), h.epsilon);
    const inner = linear(model, `${blk}.ffn_up`, rows).map((row) => row.map(GELU[form]));
    rows = layerNorm(model, `${blk}.layer_output_norm`, add(rows, linear(model, `${blk}.ffn_down`, inner)), h.epsilon);
  }
  return rows;
}

/** Nussbaum et al. 2024, arXiv:2402.01613: BERT with rotary positions, SwiGLU and no biases in the layers. */
function nomicBert(model: Gguf, ids: number[]): Rows {
  const h = hyperparameters(model);
  let rows = layerNorm(model, "token_embd_norm", embedWithType(model, ids), h.epsilon);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const heads = rotate(queryKeyValue(model, blk, rows, h), h.ropeBase, h);
    rows = layerNorm(model, `${blk}.attn_output_norm`, add(rows, attentionOutput(model, blk, heads, h)), h.epsilon);
    rows = layerNorm(model, `${blk}.layer_output_norm`, add(rows, gated(model, blk, rows, silu)), h.epsilon);
  }
  return rows;
}

/** nomic-embed-text-v2 (arXiv:2502.07972): plain layers alternate with mixtures of experts. */
function nomicBertMoe(model: Gguf, ids: number[], form: GeluForm = "erf"): Rows {
  const h = hyperparameters(model);
  const every = model.number("nomic-bert-moe.moe_every_n_layers", 0);
  let rows = layerNorm(model, "token_embd_norm", embedWithType(model, ids), h.epsilon);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const heads = rotate(queryKeyValue(model, blk, rows, h), h.ropeBase, h);
    rows = layerNorm(model, `${blk}.attn_output_norm`, add(rows, attentionOutput(model, blk, heads, h)), h.epsilon);
    const fed =
      every > 0 && layer % every === 1
        ? mixtureOfExperts(model, blk, rows, GELU[form])
        : linear(
            model,
            `${blk}.ffn_down`,
            linear(model, `${blk}.ffn_up`, rows).map((row) => row.map(GELU[form])),
          );
    rows = layerNorm(model, `${blk}.layer_output_norm`, add(rows, fed), h.epsilon);
  }
  return rows;
}

/** Günther et al. 2023, arXiv:2310.19923: BERT with symmetric ALiBi instead of positions, and GEGLU. */
function jinaBertV2(model: Gguf, ids: number[], form: GeluForm = "erf"): Rows {
  const h = hyperparameters(model);
  let rows = layerNorm(model, "token_embd_norm", embedWithType(model, ids), h.epsilon);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const mixed = attention(queryKeyValue(model, blk, rows, h), h, { alibi: alibiSlopes(h.heads) });
    const summed = add(rows, linear(model, `${blk}.attn_output`, mixed));
    rows = layerNorm(model, `${blk}.attn_output_norm`, summed, h.epsilon);
    const fed = model.tensors.has(`${blk}.ffn_gate.weight`)
      ? gated(model, blk, rows, GELU[form])
      : gatedInOne(model, blk, rows, GELU[form]);
    rows = layerNorm(model, `${blk}.layer_output_norm`, add(rows, fed), h.epsilon);
  }
  return rows;
}

/** Warner et al. 2024, arXiv:2412.13663: pre-norm, GEGLU, full attention every few layers and a window in the rest. */
function modernBert(model: Gguf, ids: number[], form: GeluForm = "erf"): Rows {
  const h = hyperparameters(model);
  let rows = layerNorm(model, "token_embd_norm", embed(model, ids), h.epsilon);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const slides = layer % h.windowPattern !== 0;
    const normed = layer === 0 ? rows : layerNorm(model, `${blk}.attn_norm`, rows, h.epsilon);
    const heads = rotate(queryKeyValue(model, blk, normed, h), slides ? h.ropeBaseSliding : h.ropeBase, h);
    rows = add(rows, attentionOutput(model, blk, heads, h, { reach: slides ? h.window >> 1 : undefined }));
    const fed = gatedInOne(model, blk, layerNorm(model, `${blk}.ffn_norm`, rows, h.epsilon), GELU[form]);
    rows = add(rows, fed);
  }
  return layerNorm(model, "output_norm", rows, h.epsilon);
}

/** Boizard et al. 2025, arXiv:2503.05500: Llama's layer without the causal mask. */
function eurobert(model: Gguf, ids: number[]): Rows {
  const h = hyperparameters(model);
  let rows = embed(model, ids);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const normed = rmsNorm(model, `${blk}.attn_norm`, rows, h.epsilon);
    const heads = rotate(queryKeyValue(model, blk, normed, h), h.ropeBase, h);
    rows = add(rows, attentionOutput(model, blk, heads, h));
    rows = add(rows, gated(model, blk, rmsNorm(model, `${blk}.ffn_norm`, rows, h.epsilon), silu));
  }
  return rmsNorm(model, "output_norm", rows, h.epsilon);
}

/** EmbeddingGemma (arXiv:2509.20354): Gemma 3 without the causal mask; the last layer of each pattern sees everything. */
function gemmaEmbedding(model: Gguf, ids: number[], form: GeluForm = "tanh"): Rows {
  const h = hyperparameters(model);
  let rows: Rows = embed(model, ids).map((x) => x.map((value) => value * Math.sqrt(h.dim)));
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const slides = layer % h.windowPattern < h.windowPattern - 1;
    const normed = rmsNorm(model, `${blk}.attn_norm`, rows, h.epsilon);
    const heads = normHeads(model, blk, queryKeyValue(model, blk, normed, h), h);
    const rotated = rotate(heads, slides ? h.ropeBaseSliding : h.ropeBase, h);
    const mixed = attentionOutput(model, blk, rotated, h, { reach: slides ? h.window >> 1 : undefined });
    rows = add(rows, rmsNorm(model, `${blk}.post_attention_norm`, mixed, h.epsilon));
    const fed = gated(model, blk, rmsNorm(model, `${blk}.ffn_norm`, rows, h.epsilon), GELU[form]);
    rows = add(rows, rmsNorm(model, `${blk}.post_ffw_norm`, fed, h.epsilon));
  }
  return rmsNorm(model, "output_norm", rows, h.epsilon);
}

/** Yang et al. 2025, arXiv:2505.09388: causal, grouped heads, queries and keys normed per head. */
function qwen3(model: Gguf, ids: number[]): Rows {
  const h = hyperparameters(model);
  let rows = embed(model, ids);
  for (let layer = 0; layer < h.layers; layer++) {
    const blk = `blk.${layer}`;
    const normed = rmsNorm(model, `${blk}.attn_norm`, rows, h.epsilon);
    const heads = rotate(normHeads(model, blk, queryKeyValue(model, blk, normed, h), h), h.ropeBase, h);
    rows = add(rows, attentionOutput(model, blk, heads, h, { causal: true }));
    rows = add(rows, gated(model, blk, rmsNorm(model, `${blk}.ffn_norm`, rows, h.epsilon), silu));
  }
  return rmsNorm(model, "output_norm", rows, h.epsilon);
}

// --- hyperparameters ---

interface Hyperparameters {
  layers: number;
  dim: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  epsilon: number;
  ropeBase: number;
  ropeBaseSliding: number;
  window: number;
  windowPattern: number;
}

function hyperparameters(model: Gguf): Hyperparameters {
  const architecture = model.string("general.architecture");
  const number = (key: string, fallback?: number) => model.number(`${architecture}.${key}`, fallback);
  const dim = number("embedding_length");
  const heads = number("attention.head_count");
  const ropeBase = number("rope.freq_base", 10000);
  const epsilons = ["attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"];
  return {
    layers: number("block_count"),
    dim,
    heads,
    kvHeads: number("attention.head_count_kv", heads),
    headSize: number("attention.key_length", dim / heads),
    epsilon: number(epsilons.find((key) => model.has(`${architecture}.${key}`))!),
    ropeBase,
    ropeBaseSliding: number("rope.freq_base_swa", ropeBase),
    window: number("attention.sliding_window", 0),
    windowPattern: number("attention.sliding_window_pattern", architecture === "gemma-embedding" ? 6 : 3),
  };
}

// --- embeddings and pooling ---

function embed(model: Gguf, ids: number[]): Rows {
  return ids.map((id) => Float64Array.from(model.row("token_embd.weight", id)));
}

function embedWithType(model: Gguf, ids: number[]): Rows {
  const type = model.row("token_types.weight", 0);
  return embed(model, ids).map((x) => x.map((value, i) => value + type[i]!));
}

function pool(model: Gguf, rows: Rows): Float64Array {
  const pooling = model.number(`${model.string("general.architecture")}.pooling_type`);
  if (pooling === 2) return rows[0]!;
  if (pooling === 3) return rows.at(-1)!;
  if (pooling !== 1) throw new Error(`no reference for pooling type ${pooling}`);
  return rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
}

function denseHeads(model: Gguf, pooled: Float64Array): Float64Array {
  if (!model.tensors.has("dense_2.weight")) return pooled;
  return linear(model, "dense_3", linear(model, "dense_2", [pooled]))[0]!;
}

function normalised(vector: Float64Array): Float64Array {
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

// --- parts of a layer ---

/** x·Wᵀ + b; the bias where the file has one. */
function linear(model: Gguf, name: string, rows: Rows): Rows {
  const weight = model.tensor(`${name}.weight`);
  const [inner, outer] = model.tensors.get(`${name}.weight`)!.shape as [number, number];
  const bias = model.tensors.has(`${name}.bias`) ? model.tensor(`${name}.bias`) : undefined;
  return rows.map((row) => {
    const out = product(weight, 0, inner, outer, row);
    return bias ? out.map((value, i) => value + bias[i]!) : out;
  });
}

/** The product of a vector and an `outer` × `inner` matrix that begins at `start`. */
function product(weight: Float32Array, start: number, inner: number, outer: number, row: Float64Array): Float64Array {
  const out = new Float64Array(outer);
  for (let o = 0; o < outer; o++) {
    // Two sums, so that an addition need not wait for the one before it.
    let even = 0;
    let odd = 0;
    const first = start + o * inner;
    for (let i = 1; i < inner; i += 2) {
      even += row[i - 1]! * weight[first + i - 1]!;
      odd += row[i]! * weight[first + i]!;
    }
    out[o] = even + odd + (inner % 2 ? row[inner - 1]! * weight[first + inner - 1]! : 0);
  }
  return out;
}

function add(a: Rows, b: Rows): Rows {
  return a.map((row, t) => row.map((value, i) => value + b[t]![i]!));
}

function layerNorm(model: Gguf, name: string, rows: Rows, epsilon: number): Rows {
  const weight = model.tensor(`${name}.weight`);
  const bias = model.tensors.has(`${name}.bias`) ? model.tensor(`${name}.bias`) : undefined;
  return rows.map((row) => {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
    const scale = 1 / Math.sqrt(variance + epsilon);
    return row.map((value, i) => (value - mean) * scale * weight[i]! + (bias?.[i] ?? 0));
  });
}

function rmsNorm(model: Gguf, name: string, rows: Rows, epsilon: number): Rows {
  const weight = model.tensor(`${name}.weight`);
  return rows.map((row) => rmsNormed(row, weight, epsilon));
}

function rmsNormed(row: Float64Array, weight: Float32Array, epsilon: number): Float64Array {
  const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + epsilon);
  return row.map((value, i) => value * scale * weight[i]!);
}

/** Per token: the query heads, the key heads and the value heads. */
interface Heads {
  queries: Rows[];
  keys: Rows[];
  values: Rows[];
}

/** Three products, or one whose rows are those of the queries, then of the keys, then of the values. */
function queryKeyValue(model: Gguf, blk: string, rows: Rows, h: Hyperparameters): Heads {
  const split = (wide: Rows, first: number, heads: number): Rows[] =>
    wide.map((row) =>
      Array.from({ length: heads }, (_, i) => row.slice((first + i) * h.headSize, (first + i + 1) * h.headSize)),
    );
  if (model.tensors.has(`${blk}.attn_qkv.weight`)) {
    const wide = linear(model, `${blk}.attn_qkv`, rows);
    return {
      queries: split(wide, 0, h.heads),
      keys: split(wide, h.heads, h.kvHeads),
      values: split(wide, h.heads + h.kvHeads, h.kvHeads),
    };
  }
  return {
    queries: split(linear(model, `${blk}.attn_q`, rows), 0, h.heads),
    keys: split(linear(model, `${blk}.attn_k`, rows), 0, h.kvHeads),
    values: split(linear(model, `${blk}.attn_v`, rows), 0, h.kvHeads),
  };
}

function normHeads(model: Gguf, blk: string, heads: Heads, h: Hyperparameters): Heads {
  const [query, key] = [model.tensor(`${blk}.attn_q_norm.weight`), model.tensor(`${blk}.attn_k_norm.weight`)];
  return {
    queries: heads.queries.map((token) => token.map((head) => rmsNormed(head, query, h.epsilon))),
    keys: heads.keys.map((token) => token.map((head) => rmsNormed(head, key, h.epsilon))),
    values: heads.values,
  };
}

/** Su et al. 2021, arXiv:2104.09864; element i is paired with i + headSize/2. */
function rotate(heads: Heads, base: number, h: Hyperparameters): Heads {
  const half = h.headSize / 2;
  const turn = (token: Rows, position: number): Rows => {
    const angles = Array.from({ length: half }, (_, i) => position * base ** (-i / half));
    const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)];
    return token.map((head) =>
      head.map((value, i) =>
        i < half
          ? value * cos[i]! - head[i + half]! * sin[i]!
          : value * cos[i - half]! + head[i - half]! * sin[i - half]!,
      ),
    );
  };
  return { queries: heads.queries.map(turn), keys: heads.keys.map(turn), values: heads.values };
}

interface Mask {
  causal?: boolean;
  /** Positions further apart than this do not see each other. */
  reach?: number;
  /** Per head: what a distance of one position takes off the score. */
  alibi?: number[];
}

/** Softmax(q·k / √headSize)·v per query head, heads side by side. Query heads share key heads in consecutive groups. */
function attention(heads: Heads, h: Hyperparameters, mask: Mask = {}): Rows {
  const group = h.heads / h.kvHeads;
  return heads.queries.map((queries, position) => {
    const out = new Float64Array(h.heads * h.headSize);
    const first = mask.reach === undefined ? 0 : Math.max(0, position - mask.reach);
    const last = mask.reach === undefined ? heads.keys.length - 1 : position + mask.reach;
    const end = Math.min(heads.keys.length - 1, mask.causal ? position : last);
    queries.forEach((query, head) => {
      const shared = Math.floor(head / group);
      const scores: number[] = [];
      for (let other = first; other <= end; other++) {
        const penalty = mask.alibi ? mask.alibi[head]! * Math.abs(position - other) : 0;
        scores.push(dot(query, heads.keys[other]![shared]!) / Math.sqrt(h.headSize) - penalty);
      }
      softmax(scores).forEach((weight, i) => {
        const value = heads.values[first + i]![shared]!;
        for (let j = 0; j < h.headSize; j++) out[head * h.headSize + j]! += weight * value[j]!;
      });
    });
    return out;
  });
}

function attentionOutput(model: Gguf, blk: string, heads: Heads, h: Hyperparameters, mask: Mask = {}): Rows {
  return linear(model, `${blk}.attn_output`, attention(heads, h, mask));
}

/** Press et al. 2021, arXiv:2108.12409, with the paper's rule for head counts that are not powers of two. */
function alibiSlopes(heads: number): number[] {
  const whole = 2 ** Math.floor(Math.log2(heads));
  return Array.from({ length: heads }, (_, head) =>
    head < whole ? 2 ** ((-8 * (head + 1)) / whole) : 2 ** ((-4 * (2 * (head - whole) + 1)) / whole),
  );
}

/** down(act(gate(x)) ⊙ up(x)) with a gate of its own; Shazeer 2020, arXiv:2002.05202. */
function gated(model: Gguf, blk: string, rows: Rows, act: (x: number) => number): Rows {
  const gate = linear(model, `${blk}.ffn_gate`, rows);
  const up = linear(model, `${blk}.ffn_up`, rows);
  return linear(
    model,
    `${blk}.ffn_down`,
    up.map((row, t) => row.map((value, i) => act(gate[t]![i]!) * value)),
  );
}

/** The same where `ffn_up` holds the activated half first, then the other. */
function gatedInOne(model: Gguf, blk: string, rows: Rows, act: (x: number) => number): Rows {
  const both = linear(model, `${blk}.ffn_up`, rows);
  const inner = both.map((row) => row.slice(0, row.length / 2).map((x, i) => act(x) * row[row.length / 2 + i]!));
  return linear(model, `${blk}.ffn_down`, inner);
}

/** The experts with the highest router probabilities, weighted by these as they are (not renormalised). */
function mixtureOfExperts(model: Gguf, blk: string, rows: Rows, act: (x: number) => number): Rows {
  const used = model.number(`${model.string("general.architecture")}.expert_used_count`);
  const [dim, ffn] = model.tensors.get(`${blk}.ffn_up_exps.weight`)!.shape as [number, number];
  const up = model.tensor(`${blk}.ffn_up_exps.weight`);
  const down = model.tensor(`${blk}.ffn_down_exps.weight`);
  const router = linear(model, `${blk}.ffn_gate_inp`, rows);
  return rows.map((row, t) => {
    const probabilities = softmax(Array.from(router[t]!));
    const chosen = probabilities.map((_, expert) => expert).sort((a, b) => probabilities[b]! - probabilities[a]!);
    const out = new Float64Array(dim);
    for (const expert of chosen.slice(0, used)) {
      const inner = product(up, expert * dim * ffn, dim, ffn, row).map(act);
      const fed = product(down, expert * dim * ffn, ffn, dim, inner);
      for (let i = 0; i < dim; i++) out[i]! += probabilities[expert]! * fed[i]!;
    }
    return out;
  });
}

// --- functions ---

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function softmax(scores: number[]): number[] {
  const peak = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - peak));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

const GELU: Record<GeluForm, (x: number) => number> = {
  erf: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** Abramowitz and Stegun 7.1.6, whose terms are all of one sign: full precision wherever erf is not yet ±1. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
