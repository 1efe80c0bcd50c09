// As much of ONNX's protobuf (onnx.proto, IR version 8) as a graph with weights needs.
import { closeSync, openSync, writeSync } from "node:fs";

/** Bytes of a message: pieces, so that no tensor is copied into its parents. */
interface Message {
  pieces: Uint8Array[];
  length: number;
}

const VARINT = 0;
const FIXED32 = 5;
const BYTES = 2;

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  // Negative numbers are written as 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

const tag = (field: number, wire: number) => varint((field << 3) | wire);

function join(...parts: (Message | Uint8Array)[]): Message {
  const pieces = parts.flatMap((part) => (part instanceof Uint8Array ? [part] : part.pieces));
  return { pieces, length: pieces.reduce((sum, piece) => sum + piece.length, 0) };
}

const integer = (field: number, value: number | bigint) => join(tag(field, VARINT), varint(value));
const bytes = (field: number, value: Uint8Array) => join(tag(field, BYTES), varint(value.length), value);
const text = (field: number, value: string) => bytes(field, Buffer.from(value));
const message = (field: number, value: Message) => join(tag(field, BYTES), varint(value.length), value);
function float(field: number, value: number): Message {
  const stored = Buffer.alloc(4);
  stored.writeFloatLE(value);
  return join(tag(field, FIXED32), stored);
}

/** TensorProto.DataType */
export const TYPES = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const;
export type ElementType = keyof typeof TYPES;

export interface Tensor {
  name: string;
  type: ElementType;
  shape: number[];
  data: Float32Array | Uint8Array | Int8Array | BigInt64Array;
}

export type Attribute = number | string | number[] | { float: number };

export interface Node {
  op: string;
  inputs: string[];
  outputs: string[];
  attributes?: Record<string, Attribute>;
}

/** A graph's input or output; a string is a dimension that calls may choose. */
export interface Value {
  name: string;
  type: ElementType;
  shape: (number | string)[];
}

export interface Graph {
  nodes: Node[];
  tensors: Tensor[];
  inputs: Value[];
  outputs: Value[];
  /** Shapes of results inside the graph that inference does not find. */
  values: Value[];
}

// AttributeProto: 2 f, 3 i, 4 s, 8 ints, 20 type (1 FLOAT, 2 INT, 3 STRING, 7 INTS).
function attributeProto(name: string, value: Attribute): Message {
  if (typeof value === "number") return join(text(1, name), integer(3, value), integer(20, 2));
  if (typeof value === "string") return join(text(1, name), text(4, value), integer(20, 3));
  if (Array.isArray(value)) return join(text(1, name), ...value.map((x) => integer(8, x)), integer(20, 7));
  return join(text(1, name), float(2, value.float), integer(20, 1));
}

function nodeProto(node: Node, index: number): Message {
  return join(
    ...node.inputs.map((name) => text(1, name)),
    ...node.outputs.map((name) => text(2, name)),
    text(3, `${node.op}_${index}`),
    text(4, node.op),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) => message(5, attributeProto(name, value))),
  );
}

function tensorProto({ name, type, shape, data }: Tensor): Message {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return join(...shape.map((n) => integer(1, n)), integer(2, TYPES[type]), text(8, name), bytes(9, raw));
}

function valueProto({ name, type, shape }: Value): Message {
  const dims = shape.map((n) => message(1, typeof n === "number" ? integer(1, n) : text(2, n)));
  const tensorType = join(integer(1, TYPES[type]), message(2, join(...dims)));
  return join(text(1, name), message(2, message(1, tensorType)));
}

/** Writes a model of opset 17. */
export function writeOnnx(path: string, graph: Graph): void {
  const graphProto = join(
    ...graph.nodes.map((node, index) => message(1, nodeProto(node, index))),
    text(2, "bert"),
    ...graph.tensors.map((tensor) => message(5, tensorProto(tensor))),
    ...graph.inputs.map((value) => message(11, valueProto(value))),
    ...graph.outputs.map((value) => message(12, valueProto(value))),
    ...graph.values.map((value) => message(13, valueProto(value))),
  );
  const model = join(integer(1, 8), text(2, "inlay bench"), message(7, graphProto), message(8, integer(2, 17)));
  const file = openSync(path, "w");
  try {
    for (const piece of model.pieces) {
      for (let done = 0; done < piece.length; ) done += writeSync(file, piece, done);
    }
  } finally {
    closeSync(file);
  }
}
