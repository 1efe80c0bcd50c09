// As much of GGUF (version 3, docs/gguf.md of ggml) as the built-in model needs: reading metadata, writing files.

import { readFileSync, writeFileSync } from "node:fs";

const MAGIC = 0x46554747; // "GGUF"
const ALIGNMENT = 32;
const VALUE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };

/** Tensor types and their numbers in ggml. */
export const TYPE = { f32: 0, f16: 1, q4_0: 2 };

/** @returns {Record<string, any>} the metadata of a file */
export function readMetadata(path) {
  const bytes = readFileSync(path);
  let offset = 0;
  const take = (size, method) => {
    offset += size;
    return bytes[method](offset - size);
  };
  const u32 = () => take(4, "readUInt32LE");
  const u64 = () => Number(take(8, "readBigUInt64LE"));
  const string = () => {
    const length = u64();
    offset += length;
    return bytes.toString("utf8", offset - length, offset);
  };
  const readers = {
    0: () => take(1, "readUInt8"),
    1: () => take(1, "readInt8"),
    2: () => take(2, "readUInt16LE"),
    3: () => take(2, "readInt16LE"),
    4: u32,
    5: () => take(4, "readInt32LE"),
    6: () => take(4, "readFloatLE"),
    7: () => take(1, "readUInt8") !== 0,
    8: string,
    9: () => {
      const element = readers[u32()];
      return Array.from({ length: u64() }, element);
    },
    10: u64,
    11: () => Number(take(8, "readBigInt64LE")),
    12: () => take(8, "readDoubleLE"),
  };
  if (u32() !== MAGIC) throw new Error(`${path} is not a GGUF file`);
  u32(); // version
  u64(); // tensors
  const metadata = {};
  for (let left = u64(); left > 0; left--) {
    const key = string();
    metadata[key] = readers[u32()]();
  }
  return metadata;
}

const scalar = (size, method) => (value) => {
  const bytes = Buffer.alloc(size);
  bytes[method](value);
  return bytes;
};
const u32 = scalar(4, "writeUInt32LE");
const u64 = (value) => scalar(8, "writeBigUInt64LE")(BigInt(value));
const string = (value) => {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([u64(bytes.length), bytes]);
};
const writers = {
  u32,
  i32: scalar(4, "writeInt32LE"),
  f32: scalar(4, "writeFloatLE"),
  bool: scalar(1, "writeUInt8"),
  string,
};

function writeValue(type, value) {
  if (!Array.isArray(value)) return [u32(VALUE[type]), writers[type](value)];
  return [u32(VALUE.array), u32(VALUE[type]), u64(value.length), ...value.map(writers[type])];
}

const padding = (length) => Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);

/**
 * @param {string} path
 * @param {[key: string, type: keyof writers, value: any][]} metadata
 * @param {{name: string, shape: number[], type: number, bytes: Buffer}[]} tensors shape: fastest dimension first
 * @returns {number} bytes written
 */
export function writeGguf(path, metadata, tensors) {
  const head = [u32(MAGIC), u32(3), u64(tensors.length), u64(metadata.length)];
  for (const [key, type, value] of metadata) head.push(string(key), ...writeValue(type, value));
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    head.push(string(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset));
    offset += bytes.length + padding(bytes.length).length;
  }
  const header = Buffer.concat(head);
  const body = tensors.flatMap(({ bytes }) => [bytes, padding(bytes.length)]);
  const file = Buffer.concat([header, padding(header.length), ...body]);
  writeFileSync(path, file);
  return file.length;
}

const floatBits = new Uint32Array(1);
const float = new Float32Array(floatBits.buffer);

/** The float16 nearest to a number within ±65504; below 2^-14 it becomes 0. */
export function toHalf(value) {
  float[0] = value;
  const bits = floatBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent <= 0) return sign;
  const magnitude = (exponent << 10) | ((bits >>> 13) & 0x3ff);
  const rest = bits & 0x1fff;
  return sign | (magnitude + (rest > 0x1000 || (rest === 0x1000 && magnitude & 1) ? 1 : 0));
}

function fromHalf(half) {
  const magnitude = ((half >>> 10) & 31) === 0 ? 0 : 2 ** (((half >>> 10) & 31) - 15) * (1 + (half & 1023) / 1024);
  return half & 0x8000 ? -magnitude : magnitude;
}

export function f32Bytes(values) {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => {
    bytes.writeFloatLE(value, i * 4);
  });
  return bytes;
}

export function f16Bytes(values) {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => {
    bytes.writeUInt16LE(toHalf(value), i * 2);
  });
  return bytes;
}

const BLOCK = 32; // values that share a scale in Q4_0
export const Q4_0_BLOCK_BYTES = 2 + BLOCK / 2;
// The extreme value may sit at -8, the end of the range that reaches further, or short of it.
const EXTREMES = [-8, -7.4, 7, 7.6];

const level = (value, scale) => (scale === 0 ? 0 : Math.max(-8, Math.min(7, Math.round(value / scale))));

/** Of the scales that put the largest value near an end of the range, the one with the least squared error. */
function bestScale(block) {
  const extreme = block.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const end of EXTREMES) {
    const scale = fromHalf(toHalf(extreme / end));
    let error = 0;
    for (const value of block) error += (value - scale * level(value, scale)) ** 2;
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

/** Writes a row of values, a multiple of 32, as Q4_0 blocks: a half scale, then nibbles i and i + 16 in byte i. */
export function writeQ4Row(values, bytes, offset) {
  for (let start = 0, at = offset; start < values.length; start += BLOCK, at += Q4_0_BLOCK_BYTES) {
    const block = values.subarray(start, start + BLOCK);
    const scale = bestScale(block);
    bytes.writeUInt16LE(toHalf(scale), at);
    for (let i = 0; i < BLOCK / 2; i++) {
      bytes[at + 2 + i] = (level(block[i], scale) + 8) | ((level(block[i + BLOCK / 2], scale) + 8) << 4);
    }
  }
}
