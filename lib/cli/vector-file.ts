import { type FileHandle, open, truncate } from "node:fs/promises";
import { InlayError } from "../errors.ts";
import { formatFloats } from "../format.ts";

export const FORMATS = ["npy", "jsonl", "f32", "arrow"] as const;
export type VectorFormat = (typeof FORMATS)[number];

/** One line of `--file`, embedded. */
export interface Row {
  index: number;
  text: string;
  embedding: Float32Array;
  tokens: number;
  truncated: boolean;
}

/** A file of vectors that grows row by row and can be gone on with after a kill. */
export interface VectorFile {
  /** Rows that are complete already. */
  readonly present: number;
  append(rows: readonly Row[]): Promise<void>;
  close(): Promise<void>;
}

/** The format that a file's name asks for. */
export function formatOf(path: string): VectorFormat {
  const ending = path.split(".").pop()!.toLowerCase();
  const known = ({ npy: "npy", jsonl: "jsonl", ndjson: "jsonl", f32: "f32", arrow: "arrow" } as const)[ending];
  if (known) return known;
  throw new InlayError(
    "ERR_INPUT_INVALID",
    `${path}: the output's name must end in ${FORMATS.map((one) => `.${one}`).join(", ")}.`,
  );
}

/** Opens an output file; with `resume`, after the rows that are whole, else empty. */
export async function openVectorFile(path: string, dimensions: number, resume: boolean): Promise<VectorFile> {
  switch (formatOf(path)) {
    case "f32":
      return FixedRows.open(path, dimensions, resume, 0);
    case "npy":
      return FixedRows.open(path, dimensions, resume, NPY_HEADER);
    case "jsonl":
      return JsonLines.open(path, dimensions, resume);
    case "arrow": {
      const { openArrowFile } = await import("./arrow-file.ts");
      return openArrowFile(path, dimensions, resume);
    }
  }
}

/** Long enough for any shape, so that the row count can be written last; NumPy's format, version 1.0. */
const NPY_HEADER = 128;

function npyHeader(rows: number, dimensions: number): Buffer {
  const header = Buffer.alloc(NPY_HEADER, 0x20);
  header.write("\x93NUMPY\x01\x00", 0, "latin1");
  header.writeUInt16LE(NPY_HEADER - 10, 8);
  header.write(`{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dimensions}), }`, 10, "latin1");
  header[NPY_HEADER - 1] = 0x0a;
  return header;
}

/** Raw little-endian float32 rows, for .npy behind a header that always tells how many are whole. */
class FixedRows implements VectorFile {
  private constructor(
    private readonly file: FileHandle,
    private readonly dimensions: number,
    private readonly header: number,
    readonly present: number,
    private rows: number,
  ) {}

  static async open(path: string, dimensions: number, resume: boolean, header: number): Promise<FixedRows> {
    const file = await open(path, resume ? "a+" : "w").then(async (handle) => {
      await handle.close();
      return open(path, "r+");
    });
    const { size } = await file.stat();
    const present = Math.max(0, Math.floor((size - header) / (4 * dimensions)));
    if (resume && header > 0 && size > 0) await checkNpy(file, path, dimensions);
    await file.truncate(present === 0 ? 0 : header + present * 4 * dimensions);
    const opened = new FixedRows(file, dimensions, header, present, present);
    if (header > 0) await file.write(npyHeader(present, dimensions), 0, header, 0);
    return opened;
  }

  async append(rows: readonly Row[]): Promise<void> {
    const bytes = Buffer.alloc(rows.length * this.dimensions * 4);
    for (const [i, { embedding }] of rows.entries()) {
      for (const [d, value] of embedding.entries()) bytes.writeFloatLE(value, (i * this.dimensions + d) * 4);
    }
    await this.file.write(bytes, 0, bytes.length, this.header + this.rows * this.dimensions * 4);
    this.rows += rows.length;
    if (this.header > 0) await this.file.write(npyHeader(this.rows, this.dimensions), 0, this.header, 0);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

async function checkNpy(file: FileHandle, path: string, dimensions: number): Promise<void> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(NPY_HEADER), 0, NPY_HEADER, 0);
  const text = buffer.toString("latin1", 0, bytesRead);
  if (text.startsWith("\x93NUMPY") && text.includes(`, ${dimensions}), }`)) return;
  throw new InlayError(
    "ERR_INPUT_INVALID",
    `${path} is not an .npy of ${dimensions} columns, so it cannot be gone on with; choose another name.`,
  );
}

/** One JSON object a line: index, tokens, truncated, embedding. */
class JsonLines implements VectorFile {
  private constructor(
    private readonly file: FileHandle,
    readonly present: number,
  ) {}

  static async open(path: string, dimensions: number, resume: boolean): Promise<JsonLines> {
    if (!resume) return new JsonLines(await open(path, "w"), 0);
    const { lines, bytes, first } = await wholeLines(path);
    if (lines > 0) await checkLine(path, first, dimensions);
    const file = await open(path, "a");
    await truncate(path, bytes);
    return new JsonLines(file, lines);
  }

  async append(rows: readonly Row[]): Promise<void> {
    await this.file.appendFile(await jsonLines(rows));
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

/** Each row as one line of JSON, its numbers the shortest that read back as the same float32. */
export async function jsonLines(rows: readonly Row[]): Promise<string> {
  const vectors = await Promise.all(rows.map(({ embedding }) => formatFloats(embedding)));
  const lines = rows.map(({ index, tokens, truncated }, i) => {
    const numbers = Buffer.from(vectors[i]!).toString("latin1");
    return `{"index":${index},"tokens":${tokens}${truncated ? ',"truncated":true' : ""},"embedding":[${numbers}]}\n`;
  });
  return lines.join("");
}

async function checkLine(path: string, bytes: number, dimensions: number): Promise<void> {
  const file = await open(path, "r");
  try {
    const { buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
    const width = widthOf(buffer.toString("utf8"));
    if (width === dimensions) return;
    throw new InlayError(
      "ERR_INPUT_INVALID",
      `${path} ${width === undefined ? "does not hold embeddings" : `has ${width} dimensions instead of ${dimensions}`}, so it cannot be gone on with; choose another name.`,
    );
  } finally {
    await file.close();
  }
}

/** The dimensions of a line that {@link jsonLines} wrote. */
function widthOf(line: string): number | undefined {
  try {
    return (JSON.parse(line) as { embedding?: number[] }).embedding?.length;
  } catch {
    return undefined;
  }
}

/** Lines that end in a newline, where the last and the first of them end: a kill leaves at most half a line after it. */
async function wholeLines(path: string): Promise<{ lines: number; bytes: number; first: number }> {
  const file = await open(path, "a+");
  try {
    let lines = 0;
    let bytes = 0;
    let first = 0;
    let position = 0;
    const block = Buffer.alloc(1 << 16);
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length, position);
      if (bytesRead === 0) return { lines, bytes, first };
      for (let at = block.indexOf(0x0a); at >= 0 && at < bytesRead; at = block.indexOf(0x0a, at + 1)) {
        lines++;
        bytes = position + at + 1;
        if (lines === 1) first = bytes;
      }
      position += bytesRead;
    }
  } finally {
    await file.close();
  }
}
