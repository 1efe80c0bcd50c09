import type { BenchModel } from "../models.ts";

/** A text of known length; `ids` only for BERT's vocabulary, for peers that take token ids. */
export interface BenchText {
  text: string;
  tokens: number;
  ids?: number[];
}

export interface Embedder {
  /** One call as a user of this package makes it: unit vectors of all texts. */
  embed(texts: readonly BenchText[], priority: "interactive" | "bulk"): Promise<ArrayLike<number>[]>;
  /** Tries the settings that a careful user would, and keeps the fastest; says which. */
  tune?(texts: readonly BenchText[]): Promise<string>;
  /** What was loaded, in words. */
  describe?(): string;
}

export interface Peer {
  /** Column of the table, and the name for `--only`. */
  name: string;
  /** Its npm package, for the installed size. */
  package: string;
  /** What the row is, in words. */
  note: string;
  /** Whether there are weights it can read. */
  serves(model: BenchModel): boolean;
  load(model: BenchModel, threads: number): Promise<Embedder>;
}

export function unit(vector: Float32Array): Float32Array {
  let square = 0;
  for (const x of vector) square += x * x;
  const scale = 1 / Math.sqrt(square);
  for (let i = 0; i < vector.length; i++) vector[i]! *= scale;
  return vector;
}
