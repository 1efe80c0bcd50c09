import { type FileHandle, open } from "node:fs/promises";

/** What a list of models shows of a file. Loading validates files for real; this only looks. */
export interface GgufHeader {
  architecture?: string;
  quantization?: string;
  dimensions?: number;
  contextLength?: number;
}

const CHUNK = 256 * 1024;
/** A vocabulary of 262,144 tokens with its scores and merges takes about 16 MiB. */
const MAX_METADATA = 64 << 20;
const MAX_ENTRIES = 4096;
const MAX_KEY = 256;
const MAX_TEXT = 1 << 20;
/** Of GGUF's value types 0..12, by index; 0: strings (8) and arrays (9), whose size they state themselves. */
const WIDTHS = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** `general.file_type`, as llama.h numbers it. */
const FILE_TYPES: Record<number, string> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  7: "Q8_0",
  8: "Q5_0",
  9: "Q5_1",
  10: "Q2_K",
  11: "Q3_K_S",
  12: "Q3_K_M",
  13: "Q3_K_L",
  14: "Q4_K_S",
  15: "Q4_K_M",
  16: "Q5_K_S",
  17: "Q5_K_M",
  18: "Q6_K",
  19: "IQ2_XXS",
  20: "IQ2_XS",
  21: "Q2_K_S",
  22: "IQ3_XS",
  23: "IQ3_XXS",
  24: "IQ1_S",
  25: "IQ4_NL",
  26: "IQ3_S",
  27: "IQ3_M",
  28: "IQ2_S",
  29: "IQ2_M",
  30: "IQ4_XS",
  31: "IQ1_M",
  32: "BF16",
  36: "TQ1_0",
  37: "TQ2_0",
};

/** Reads a GGUF's metadata as far as a list needs it; `undefined` for a file that is no GGUF or is damaged. */
export async function readHeader(path: string): Promise<GgufHeader | undefined> {
  const file = await open(path, "r");
  try {
    return await parse(new Reader(file));
  } catch (error) {
    if (error instanceof Damaged) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

class Damaged extends Error {}

/** A forward reader; callers await only where {@link has} says that bytes are lacking. */
class Reader {
  #file: FileHandle;
  #buffer = Buffer.alloc(0);
  #position = 0;
  #read = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  has(bytes: number): boolean {
    return this.#buffer.length - this.#position >= bytes;
  }

  async fill(bytes: number): Promise<void> {
    if (this.#read > MAX_METADATA) throw new Damaged();
    const rest = this.#buffer.subarray(this.#position);
    const next = Buffer.alloc(Math.max(CHUNK, bytes));
    const { bytesRead } = await this.#file.read(next, 0, next.length, this.#read);
    this.#read += bytesRead;
    this.#buffer = Buffer.concat([rest, next.subarray(0, bytesRead)]);
    this.#position = 0;
    if (!this.has(bytes)) throw new Damaged();
  }

  take(bytes: number): Buffer {
    this.#position += bytes;
    return this.#buffer.subarray(this.#position - bytes, this.#position);
  }

  u32(): number {
    return this.take(4).readUInt32LE();
  }

  u64(): number {
    const value = this.take(8).readBigUInt64LE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Damaged();
    return Number(value);
  }

  async skip(bytes: number): Promise<void> {
    if (this.has(bytes)) {
      this.#position += bytes;
      return;
    }
    const beyond = bytes - (this.#buffer.length - this.#position);
    this.#read += beyond;
    this.#buffer = Buffer.alloc(0);
    this.#position = 0;
  }
}

async function parse(reader: Reader): Promise<GgufHeader | undefined> {
  await reader.fill(24);
  if (reader.take(4).toString("latin1") !== "GGUF") return undefined;
  const version = reader.u32();
  if (version !== 2 && version !== 3) return undefined;
  reader.u64(); // tensors
  const entries = reader.u64();
  if (entries > MAX_ENTRIES) return undefined;
  const wanted = new Map<string, string | number>();
  for (let entry = 0; entry < entries; entry++) {
    const key = await text(reader, MAX_KEY);
    if (!reader.has(4)) await reader.fill(4);
    const value = await scalar(reader, reader.u32());
    if (value !== undefined) wanted.set(key, value);
  }
  return describe(wanted);
}

function describe(values: Map<string, string | number>): GgufHeader {
  const architecture = values.get("general.architecture");
  const number = (key: string) => {
    const value = values.get(key);
    return typeof value === "number" ? value : undefined;
  };
  return {
    architecture: typeof architecture === "string" ? architecture : undefined,
    quantization: FILE_TYPES[number("general.file_type") ?? -1],
    dimensions: number(`${architecture}.embedding_length_out`) ?? number(`${architecture}.embedding_length`),
    contextLength: number(`${architecture}.context_length`),
  };
}

/** A value that a list may show; `undefined` for arrays and the types that none of its keys has. */
async function scalar(reader: Reader, type: number): Promise<string | number | undefined> {
  if (type === 8) return text(reader, MAX_TEXT);
  if (type === 9) return skipArray(reader);
  const width = WIDTHS[type];
  if (width === undefined) throw new Damaged();
  if (!reader.has(width)) await reader.fill(width);
  const bytes = reader.take(width);
  switch (type) {
    case 2:
      return bytes.readUInt16LE();
    case 4:
      return bytes.readUInt32LE();
    case 5:
      return bytes.readInt32LE();
    case 10:
      return Number(bytes.readBigUInt64LE());
    default:
      return undefined;
  }
}

async function skipArray(reader: Reader): Promise<undefined> {
  if (!reader.has(12)) await reader.fill(12);
  const type = reader.u32();
  const count = reader.u64();
  if (count > MAX_METADATA) throw new Damaged();
  if (type !== 8) {
    const width = WIDTHS[type];
    if (!width) throw new Damaged();
    await reader.skip(count * width);
    return;
  }
  for (let index = 0; index < count; index++) {
    if (!reader.has(8)) await reader.fill(8);
    const length = reader.u64();
    if (length > MAX_TEXT) throw new Damaged();
    if (!reader.has(length)) await reader.fill(length);
    reader.take(length);
  }
}

async function text(reader: Reader, limit: number): Promise<string> {
  if (!reader.has(8)) await reader.fill(8);
  const length = reader.u64();
  if (length > limit) throw new Damaged();
  if (!reader.has(length)) await reader.fill(length);
  return reader.take(length).toString("utf8");
}
