// A GGUF model of architecture `bert` as the ONNX graph that PyTorch's exporter makes of Hugging Face's BertModel, so
// that onnxruntime's fusions (attention, skip + LayerNorm, bias + GELU) find the patterns they look for.
import { Gguf } from "../../test/support/gguf.ts";
import { type Attribute, type ElementType, type Graph, type Tensor, writeOnnx } from "./protobuf.ts";
import { quantise } from "./quantise.ts";

export type Precision = "fp32" | "int8";

class GraphBuilder {
  readonly graph: Graph = { nodes: [], tensors: [], inputs: [], outputs: [], values: [] };
  readonly #quantised = new Map<string, [value: string, scale: string, zero: string]>();
  #names = 0;

  constructor(readonly precision: Precision) {}

  op(op: string, inputs: string[], attributes?: Record<string, Attribute>): string {
    return this.ops(op, inputs, 1, attributes)[0]!;
  }

  ops(op: string, inputs: string[], count: number, attributes?: Record<string, Attribute>): string[] {
    const outputs = Array.from({ length: count }, () => `v${this.#names++}`);
    this.graph.nodes.push({ op, inputs, outputs, ...(attributes && { attributes }) });
    return outputs;
  }

  tensor(name: string, type: ElementType, shape: number[], data: Tensor["data"]): string {
    this.graph.tensors.push({ name, type, shape, data });
    return name;
  }

  floats(name: string, shape: number[], data: Float32Array): string {
    return this.tensor(name, "float", shape, data);
  }

  scalar(value: number): string {
    return this.floats(`c${this.#names++}`, [], Float32Array.of(value));
  }

  shape(values: number[]): string {
    return this.tensor(`c${this.#names++}`, "int64", [values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** `input` times a matrix of the file, plus its bias. */
  linear(name: string, input: string, file: Gguf): string {
    const [rows, columns] = file.tensors.get(`${name}.weight`)!.shape as [number, number];
    const weight = transpose(file.tensor(`${name}.weight`), columns, rows);
    const bias = this.floats(`${name}.bias`, [columns], file.tensor(`${name}.bias`));
    const product =
      this.precision === "fp32"
        ? this.op("MatMul", [input, this.floats(`${name}.weight`, [rows, columns], weight)])
        : this.#integerProduct(name, input, weight, rows, columns);
    return this.op("Add", [product, bias]);
  }

  /** What onnxruntime's `quantize_dynamic` makes of a MatMul: int8 weights with one scale, uint8 activations. */
  #integerProduct(name: string, input: string, weight: Float32Array, rows: number, columns: number): string {
    const { values, scale } = quantise(weight);
    let activation = this.#quantised.get(input);
    if (!activation) {
      activation = this.ops("DynamicQuantizeLinear", [input], 3) as [string, string, string];
      this.#quantised.set(input, activation);
    }
    const [quantised, inputScale, inputZero] = activation;
    const weights = this.tensor(`${name}.weight`, "int8", [rows, columns], values);
    const zero = this.tensor(`${name}.zero`, "int8", [], Int8Array.of(0));
    const weightScale = this.floats(`${name}.scale`, [], Float32Array.of(scale));
    const sums = this.op("MatMulInteger", [quantised, weights, inputZero, zero]);
    const floats = this.op("Cast", [sums], { to: 1 });
    return this.op("Mul", [floats, this.op("Mul", [inputScale, weightScale])]);
  }

  norm(name: string, input: string, file: Gguf, epsilon: number): string {
    const size = file.tensors.get(`${name}.weight`)!.shape[0]!;
    const weight = this.floats(`${name}.weight`, [size], file.tensor(`${name}.weight`));
    const bias = this.floats(`${name}.bias`, [size], file.tensor(`${name}.bias`));
    return this.op("LayerNormalization", [input, weight, bias], { axis: -1, epsilon: { float: epsilon } });
  }
}

/** From rows of the file (outputs × inputs) to inputs × outputs. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  }
  return out;
}

function embeddings(b: GraphBuilder, file: Gguf, dim: number, epsilon: number): string {
  const table = (name: string) => {
    const values = file.tensor(`${name}.weight`);
    return b.floats(name, [values.length / dim, dim], values);
  };
  const words = b.op("Gather", [table("token_embd"), "input_ids"]);
  const types = b.op("Gather", [table("token_types"), "token_type_ids"]);
  const length = b.op("Gather", [b.op("Shape", ["input_ids"]), b.tensor("one", "int64", [], BigInt64Array.of(1n))]);
  const count = b.op("Unsqueeze", [length, b.shape([0])]);
  const positions = b.op("Slice", [table("position_embd"), b.shape([0]), count, b.shape([0])]);
  const sum = b.op("Add", [b.op("Add", [words, types]), positions]);
  // Shape inference loses the symbols in Slice; the fusions need them.
  b.graph.values.push({ name: sum, type: "float", shape: ["batch", "tokens", dim] });
  return b.norm("token_embd_norm", sum, file, epsilon);
}

/** 0 where a token is, -10000 where padding is; batch × 1 × 1 × tokens. */
function maskBias(b: GraphBuilder): string {
  const mask = b.op("Unsqueeze", [b.op("Unsqueeze", ["attention_mask", b.shape([1])]), b.shape([2])]);
  const absent = b.op("Sub", [b.scalar(1), b.op("Cast", [mask], { to: 1 })]);
  return b.op("Mul", [absent, b.scalar(-10000)]);
}

function attention(b: GraphBuilder, file: Gguf, layer: string, input: string, mask: string, heads: number): string {
  const dim = file.tensors.get(`${layer}.attn_q.weight`)!.shape[0]!;
  const split = (name: string, perm: number[]) =>
    b.op(
      "Transpose",
      [b.op("Reshape", [b.linear(`${layer}.${name}`, input, file), b.shape([0, 0, heads, dim / heads])])],
      {
        perm,
      },
    );
  const query = split("attn_q", [0, 2, 1, 3]);
  const key = split("attn_k", [0, 2, 3, 1]);
  const value = split("attn_v", [0, 2, 1, 3]);
  const scores = b.op("Div", [b.op("MatMul", [query, key]), b.scalar(Math.sqrt(dim / heads))]);
  const weights = b.op("Softmax", [b.op("Add", [scores, mask])], { axis: 3 });
  const mixed = b.op("Transpose", [b.op("MatMul", [weights, value])], { perm: [0, 2, 1, 3] });
  return b.linear(`${layer}.attn_output`, b.op("Reshape", [mixed, b.shape([0, 0, dim])]), file);
}

function gelu(b: GraphBuilder, input: string): string {
  const erf = b.op("Erf", [b.op("Div", [input, b.scalar(Math.SQRT2)])]);
  return b.op("Mul", [b.op("Mul", [input, b.op("Add", [erf, b.scalar(1)])]), b.scalar(0.5)]);
}

/** Writes the GGUF file's model as ONNX: token ids in, `last_hidden_state` (batch × tokens × dim) out. */
export function writeBertOnnx(ggufPath: string, onnxPath: string, precision: Precision): void {
  const file = new Gguf(ggufPath);
  try {
    const dim = file.number("bert.embedding_length");
    const heads = file.number("bert.attention.head_count");
    const epsilon = file.number("bert.attention.layer_norm_epsilon");
    const b = new GraphBuilder(precision);
    const ids = ["batch", "tokens"];
    for (const name of ["input_ids", "attention_mask", "token_type_ids"]) {
      b.graph.inputs.push({ name, type: "int64", shape: ids });
    }
    let hidden = embeddings(b, file, dim, epsilon);
    const mask = maskBias(b);
    for (let i = 0; i < file.number("bert.block_count"); i++) {
      const layer = `blk.${i}`;
      const attended = b.op("Add", [attention(b, file, layer, hidden, mask, heads), hidden]);
      const inner = b.norm(`${layer}.attn_output_norm`, attended, file, epsilon);
      const up = gelu(b, b.linear(`${layer}.ffn_up`, inner, file));
      const sum = b.op("Add", [b.linear(`${layer}.ffn_down`, up, file), inner]);
      hidden = b.norm(`${layer}.layer_output_norm`, sum, file, epsilon);
    }
    b.graph.nodes.push({ op: "Identity", inputs: [hidden], outputs: ["last_hidden_state"] });
    b.graph.outputs.push({ name: "last_hidden_state", type: "float", shape: [...ids, dim] });
    writeOnnx(onnxPath, b.graph);
  } finally {
    file.close();
  }
}
