import { readFileSync } from "node:fs";

export interface NpyMatrix {
  rows: number;
  columns: number;
  values: Float32Array;
}

/** Reads a matrix of little-endian float32 as NumPy's format 1.0 has it, and nothing else. */
export function readNpy(path: string): NpyMatrix {
  const file = readFileSync(path);
  const magic = file.toString("latin1", 0, 8);
  if (magic !== "\x93NUMPY\x01\x00") throw new Error(`${path} starts with ${JSON.stringify(magic)}`);
  const start = 10 + file.readUInt16LE(8);
  if (start % 64 !== 0) throw new Error(`the data starts at ${start}, which is not a multiple of 64`);
  const header = file.toString("latin1", 10, start);
  const match =
    /^\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n$/.exec(header) ?? undefined;
  if (!match) throw new Error(`not a header of a float32 matrix: ${header}`);
  const [rows, columns] = [Number(match[1]), Number(match[2])];
  if (file.length !== start + 4 * rows * columns) {
    throw new Error(`${file.length} bytes do not hold ${rows} × ${columns} after ${start}`);
  }
  const values = Float32Array.from({ length: rows * columns }, (_, i) => file.readFloatLE(start + 4 * i));
  return { rows, columns, values };
}
