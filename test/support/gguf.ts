// A small reader and writer of GGUF files for tests and benchmarks, independent of native/gguf.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3, little-endian).
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";

const MAGIC = 0x46554747;
const ALIGNMENT = 32;
const HEAD_GUESS = 16 << 20;
const CHUNK_ELEMENTS = 1 << 20;

const VALUE_TYPES = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;
type ScalarType = Exclude<(typeof VALUE_TYPES)[number], "array">;
const VALUE_BYTES: Record<Exclude<ScalarType, "string">, number> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** A scalar as JavaScript has it; 64-bit integers are bigints. */
export type Scalar = number | boolean | string | bigint;
/** A metadata value to write: a scalar, an array of scalars, or the encoded bytes (type first) of another file's value. */
export type MetadataValue =
  | { type: ScalarType; value: Scalar }
  | { type: "array"; of: ScalarType; value: readonly Scalar[] | ArrayLike<number> }
  | { type: "raw"; bytes: Uint8Array };

export const u32 = (value: number): MetadataValue => ({ type: "u32", value });
export const f32 = (value: number): MetadataValue => ({ type: "f32", value });
export const bool = (value: boolean): MetadataValue => ({ type: "bool", value });
export const string = (value: string): MetadataValue => ({ type: "string", value });
export const array = (of: ScalarType, value: readonly Scalar[] | ArrayLike<number>): MetadataValue => ({
  type: "array",
  of,
  value,
});

const GET: Record<Exclude<ScalarType, "string">, (view: DataView, at: number) => Scalar> = {
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  u16: (view, at) => view.getUint16(at, true),
  i16: (view, at) => view.getInt16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i32: (view, at) => view.getInt32(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  bool: (view, at) => view.getUint8(at) !== 0,
  u64: (view, at) => view.getBigUint64(at, true),
  i64: (view, at) => view.getBigInt64(at, true),
  f64: (view, at) => view.getFloat64(at, true),
};
const PUT: Record<Exclude<ScalarType, "string">, (view: DataView, at: number, value: Scalar) => void> = {
  u8: (view, at, value) => view.setUint8(at, Number(value)),
  i8: (view, at, value) => view.setInt8(at, Number(value)),
  u16: (view, at, value) => view.setUint16(at, Number(value), true),
  i16: (view, at, value) => view.setInt16(at, Number(value), true),
  u32: (view, at, value) => view.setUint32(at, Number(value), true),
  i32: (view, at, value) => view.setInt32(at, Number(value), true),
  f32: (view, at, value) => view.setFloat32(at, Number(value), true),
  bool: (view, at, value) => view.setUint8(at, Number(value)),
  u64: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
  i64: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
  f64: (view, at, value) => view.setFloat64(at, Number(value), true),
};

export type TensorType = "f32" | "f16" | "bf16" | "q8_0" | "q4_0";
interface Codec {
  id: number;
  /** Elements and bytes of a block; rows are whole blocks. */
  elements: number;
  bytes: number;
  encode(values: Float32Array, out: Uint8Array): void;
  decode(bytes: Uint8Array, out: Float32Array): void;
}

export interface TensorInfo {
  name: string;
  /** In ggml's order: the length of a row first. */
  shape: number[];
  type: TensorType;
}

/** A tensor to write. `fill` is called with consecutive pieces, so that no tensor has to be in memory as a whole. */
export interface TensorSource extends TensorInfo {
  fill(out: Float32Array, offset: number): void;
}

// --- element types ---

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** The nearest binary16, ties to even. */
export function toHalf(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Adding 0.5 puts a subnormal half's last bit at the end of the float's mantissa; the store rounds.
    scratchBits[0] = magnitude;
    scratchFloat[0] = scratchFloat[0]! + 0.5;
    return sign | (scratchBits[0]! - 0x3f000000);
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

export function fromHalf(half: number): number {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const HALVES = Float32Array.from({ length: 65536 }, (_, half) => fromHalf(half));

function encodeQ8(values: Float32Array, out: Uint8Array): void {
  const signed = new Int8Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0, o = 0; i < values.length; i += 32, o += 34) {
    let peak = 0;
    for (let j = 0; j < 32; j++) peak = Math.max(peak, Math.abs(values[i + j]!));
    const inverse = peak === 0 ? 0 : 127 / peak;
    const scale = toHalf(peak / 127);
    out[o] = scale & 255;
    out[o + 1] = scale >>> 8;
    for (let j = 0; j < 32; j++) signed[o + 2 + j] = Math.round(values[i + j]! * inverse);
  }
}

function decodeQ8(bytes: Uint8Array, out: Float32Array): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0, o = 0; i < out.length; i += 32, o += 34) {
    const scale = HALVES[bytes[o]! | (bytes[o + 1]! << 8)]!;
    for (let j = 0; j < 32; j++) out[i + j] = scale * signed[o + 2 + j]!;
  }
}

function encodeQ4(values: Float32Array, out: Uint8Array): void {
  const level = (value: number) => Math.max(0, Math.min(15, Math.trunc(value + 8.5)));
  for (let i = 0, o = 0; i < values.length; i += 32, o += 18) {
    let peak = 0;
    for (let j = 0; j < 32; j++) if (Math.abs(values[i + j]!) > Math.abs(peak)) peak = values[i + j]!;
    const inverse = peak === 0 ? 0 : -8 / peak;
    const scale = toHalf(peak / -8);
    out[o] = scale & 255;
    out[o + 1] = scale >>> 8;
    for (let j = 0; j < 16; j++) {
      out[o + 2 + j] = level(values[i + j]! * inverse) | (level(values[i + j + 16]! * inverse) << 4);
    }
  }
}

function decodeQ4(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0, o = 0; i < out.length; i += 32, o += 18) {
    const scale = HALVES[bytes[o]! | (bytes[o + 1]! << 8)]!;
    for (let j = 0; j < 16; j++) {
      const pair = bytes[o + 2 + j]!;
      out[i + j] = scale * ((pair & 15) - 8);
      out[i + j + 16] = scale * ((pair >>> 4) - 8);
    }
  }
}

const words = (bytes: Uint8Array) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

const CODECS: Record<TensorType, Codec> = {
  f32: {
    id: 0,
    elements: 1,
    bytes: 4,
    encode: (values, out) => out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
    decode: (bytes, out) => new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes),
  },
  f16: {
    id: 1,
    elements: 1,
    bytes: 2,
    encode(values, out) {
      const halves = words(out);
      for (let i = 0; i < values.length; i++) halves[i] = toHalf(values[i]!);
    },
    decode(bytes, out) {
      const halves = words(bytes);
      for (let i = 0; i < out.length; i++) out[i] = HALVES[halves[i]!]!;
    },
  },
  bf16: {
    id: 30,
    elements: 1,
    bytes: 2,
    encode(values, out) {
      const [tops, bits] = [words(out), bitsOf(values)];
      for (let i = 0; i < bits.length; i++) tops[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) >>> 16;
    },
    decode(bytes, out) {
      const [tops, bits] = [words(bytes), bitsOf(out)];
      for (let i = 0; i < bits.length; i++) bits[i] = tops[i]! << 16;
    },
  },
  q8_0: { id: 8, elements: 32, bytes: 34, encode: encodeQ8, decode: decodeQ8 },
  q4_0: { id: 2, elements: 32, bytes: 18, encode: encodeQ4, decode: decodeQ4 },
};
const TYPE_OF_ID = new Map(Object.entries(CODECS).map(([type, codec]) => [codec.id, type as TensorType]));

const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
const byteLength = (info: TensorInfo) => (count(info.shape) / CODECS[info.type].elements) * CODECS[info.type].bytes;
const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Whether rows of this length can be stored as `type`. */
export function fits(type: TensorType, rowLength: number): boolean {
  return rowLength % CODECS[type].elements === 0;
}

// --- reading ---

class Cursor {
  readonly view: DataView;
  offset = 0;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u32(): number {
    this.offset += 4;
    return this.view.getUint32(this.offset - 4, true);
  }

  u64(): number {
    const low = this.u32();
    return low + this.u32() * 2 ** 32;
  }

  string(): string {
    const length = this.u64();
    if (this.offset + length > this.bytes.length) throw new RangeError("the header goes on");
    this.offset += length;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.offset - length, length).toString("utf8");
  }

  /** Moves past a value of this type. */
  skip(type: (typeof VALUE_TYPES)[number]): void {
    if (type === "string") {
      const length = this.u64();
      this.offset += length;
    } else if (type === "array") {
      const of = VALUE_TYPES[this.u32()]!;
      const length = this.u64();
      if (of === "string" || of === "array") for (let i = 0; i < length; i++) this.skip(of);
      else this.offset += length * VALUE_BYTES[of];
    } else {
      this.offset += VALUE_BYTES[type];
    }
  }

  scalar(type: ScalarType): Scalar {
    if (type === "string") return this.string();
    this.offset += VALUE_BYTES[type];
    return GET[type](this.view, this.offset - VALUE_BYTES[type]);
  }
}

interface StoredTensor extends TensorInfo {
  offset: number;
}

/** An open GGUF file. Metadata is decoded when asked for, tensors are read from disk when asked for. */
export class Gguf {
  readonly tensors = new Map<string, TensorInfo>();
  readonly #file: number;
  readonly #bytes: Uint8Array;
  readonly #values = new Map<string, { start: number; end: number }>();
  readonly #decoded = new Map<string, Float32Array>();
  readonly #dataStart: number;

  constructor(readonly path: string) {
    this.#file = openSync(path, "r");
    const size = fstatSync(this.#file).size;
    for (let length = Math.min(size, HEAD_GUESS); ; length = Math.min(size, length * 2)) {
      this.#bytes = this.#readAt(0, length);
      try {
        this.#dataStart = this.#parse(new Cursor(this.#bytes));
        return;
      } catch (error) {
        if (!(error instanceof RangeError) || length === size) throw error;
        this.#values.clear();
        this.tensors.clear();
      }
    }
  }

  get keys(): string[] {
    return [...this.#values.keys()];
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** The value as stored, type first; to copy into another file. */
  raw(key: string): MetadataValue {
    const place = this.#values.get(key);
    if (!place) throw new Error(`${this.path}: no metadata key ${key}`);
    return { type: "raw", bytes: this.#bytes.subarray(place.start, place.end) };
  }

  get(key: string): Scalar | Scalar[] | undefined {
    const place = this.#values.get(key);
    if (!place) return undefined;
    const cursor = new Cursor(this.#bytes);
    cursor.offset = place.start;
    const type = VALUE_TYPES[cursor.u32()]!;
    if (type !== "array") return cursor.scalar(type);
    const of = VALUE_TYPES[cursor.u32()]! as ScalarType;
    return Array.from({ length: cursor.u64() }, () => cursor.scalar(of));
  }

  number(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "number") throw new Error(`${this.path}: ${key} is not a number`);
    return value;
  }

  string(key: string): string {
    const value = this.get(key);
    if (typeof value !== "string") throw new Error(`${this.path}: ${key} is not a string`);
    return value;
  }

  /** A whole tensor, dequantised. Exact: every type here decodes to values that float32 represents. */
  tensor(name: string): Float32Array {
    const known = this.#decoded.get(name);
    if (known) return known;
    const info = this.#info(name);
    const values = this.#decode(info, 0, count(info.shape));
    this.#decoded.set(name, values);
    return values;
  }

  /** Row `index` of a matrix, dequantised, without reading the rest. */
  row(name: string, index: number): Float32Array {
    const info = this.#info(name);
    const length = info.shape[0]!;
    if (index < 0 || index * length >= count(info.shape)) throw new RangeError(`${name} has no row ${index}`);
    return this.#decode(info, index * length, length);
  }

  close(): void {
    closeSync(this.#file);
  }

  #info(name: string): StoredTensor {
    const info = this.tensors.get(name);
    if (!info) throw new Error(`${this.path}: no tensor ${name}`);
    return info as StoredTensor;
  }

  #decode(info: StoredTensor, first: number, length: number): Float32Array {
    const codec = CODECS[info.type];
    const start = this.#dataStart + info.offset + (first / codec.elements) * codec.bytes;
    const values = new Float32Array(length);
    codec.decode(this.#readAt(start, (length / codec.elements) * codec.bytes), values);
    return values;
  }

  #readAt(position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const got = readSync(this.#file, bytes, done, Math.min(length - done, 1 << 30), position + done);
      if (got === 0) throw new Error(`${this.path} ends at ${position + done}, expected ${position + length}`);
      done += got;
    }
    return bytes;
  }

  #parse(cursor: Cursor): number {
    if (cursor.u32() !== MAGIC) throw new Error(`${this.path} is not a GGUF file`);
    const version = cursor.u32();
    if (version !== 2 && version !== 3) throw new Error(`${this.path} has GGUF version ${version}, expected 2 or 3`);
    const tensors = cursor.u64();
    const values = cursor.u64();
    for (let i = 0; i < values; i++) {
      const key = cursor.string();
      const start = cursor.offset;
      cursor.skip(VALUE_TYPES[cursor.u32()]!);
      if (cursor.offset > cursor.bytes.length) throw new RangeError("the header goes on");
      this.#values.set(key, { start, end: cursor.offset });
    }
    for (let i = 0; i < tensors; i++) {
      const name = cursor.string();
      const shape = Array.from({ length: cursor.u32() }, () => cursor.u64());
      const id = cursor.u32();
      const type = TYPE_OF_ID.get(id);
      if (!type) throw new Error(`${this.path}: tensor ${name} has type ${id}, which this reader does not know`);
      const stored: StoredTensor = { name, shape, type, offset: cursor.u64() };
      this.tensors.set(name, stored);
    }
    return aligned(cursor.offset);
  }
}

// --- writing ---

class Encoder {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length - bytes.length);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    this.u32(value % 2 ** 32);
    this.u32(Math.floor(value / 2 ** 32));
  }

  string(value: string): void {
    const bytes = Buffer.from(value, "utf8");
    this.u64(bytes.length);
    this.raw(bytes);
  }

  value(value: MetadataValue): void {
    if (value.type === "raw") {
      this.raw(value.bytes);
    } else if (value.type === "array") {
      this.u32(VALUE_TYPES.indexOf("array"));
      this.u32(VALUE_TYPES.indexOf(value.of));
      this.u64(value.value.length);
      for (let i = 0; i < value.value.length; i++) this.#scalar(value.of, value.value[i]!);
    } else {
      this.u32(VALUE_TYPES.indexOf(value.type));
      this.#scalar(value.type, value.value);
    }
  }

  #scalar(type: ScalarType, value: Scalar): void {
    if (type === "string") {
      this.string(value as string);
      return;
    }
    const at = this.#reserve(VALUE_BYTES[type]);
    PUT[type](this.#view, at, value);
  }

  /** Makes room for `bytes` more and returns where they begin. */
  #reserve(bytes: number): number {
    const start = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return start;
  }
}

/**
 * Writes a GGUF file tensor by tensor, in pieces, under a temporary name first: `path` is either absent or whole.
 */
export function writeGguf(
  path: string,
  metadata: Iterable<readonly [string, MetadataValue]>,
  tensors: readonly TensorSource[],
): void {
  const head = new Encoder();
  const pairs = [...metadata];
  head.u32(MAGIC);
  head.u32(3);
  head.u64(tensors.length);
  head.u64(pairs.length);
  for (const [key, value] of pairs) {
    head.string(key);
    head.value(value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    if (!fits(tensor.type, tensor.shape[0]!)) {
      throw new Error(`${tensor.name}: rows of ${tensor.shape[0]} cannot be stored as ${tensor.type}`);
    }
    head.string(tensor.name);
    head.u32(tensor.shape.length);
    for (const n of tensor.shape) head.u64(n);
    head.u32(CODECS[tensor.type].id);
    head.u64(offset);
    offset += aligned(byteLength(tensor));
  }
  head.raw(new Uint8Array(aligned(head.length) - head.length));

  const unfinished = `${path}.${process.pid}.part`;
  const file = openSync(unfinished, "w");
  try {
    writeAll(file, head.bytes);
    for (const tensor of tensors) writeTensor(file, tensor);
    renameSync(unfinished, path);
  } finally {
    closeSync(file);
    rmSync(unfinished, { force: true });
  }
}

function writeTensor(file: number, tensor: TensorSource): void {
  const codec = CODECS[tensor.type];
  const total = count(tensor.shape);
  const values = new Float32Array(Math.min(total, CHUNK_ELEMENTS));
  const bytes = new Uint8Array((values.length / codec.elements) * codec.bytes);
  for (let done = 0; done < total; done += values.length) {
    const length = Math.min(values.length, total - done);
    const piece = values.subarray(0, length);
    const encoded = bytes.subarray(0, (length / codec.elements) * codec.bytes);
    tensor.fill(piece, done);
    codec.encode(piece, encoded);
    writeAll(file, encoded);
  }
  const size = byteLength(tensor);
  writeAll(file, new Uint8Array(aligned(size) - size));
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
}
