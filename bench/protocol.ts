// What the benchmark and the process of a peer say to each other.
import type { Latency, PoolLatency, Throughput } from "./measure.ts";
import type { BenchModel } from "./models.ts";
import type { BenchText } from "./peers/peer.ts";

export interface Loaded {
  /** From the start of importing the package to the first vector, in ms. */
  ms: number;
  /** What was loaded, in words. */
  description: string;
}

/** Resident bytes of the process. */
export interface Memory {
  now: number;
  peak: number;
}

export interface Commands {
  load: { request: { peer: string; model: BenchModel; threads: number; text: BenchText }; reply: Loaded };
  tune: { request: { texts: BenchText[] }; reply: string };
  vectors: { request: { texts: BenchText[] }; reply: Float32Array[] };
  throughput: {
    request: { texts: BenchText[]; batch: number; milliseconds: number; warmUp: boolean };
    reply: Throughput;
  };
  latency: { request: { texts: BenchText[]; milliseconds: number }; reply: Latency };
  latencyUnderBulk: {
    request: { bulk: BenchText[]; bulkSize: number; singles: BenchText[]; milliseconds: number };
    reply: Latency;
  };
  pool: { request: { bulk?: BenchText[]; milliseconds: number }; reply: PoolLatency };
  memory: { request: Record<string, never>; reply: Memory };
}

export type CommandName = keyof Commands;
export type Request = { [Name in CommandName]: { command: Name } & Commands[Name]["request"] }[CommandName];
export type Reply = { value: unknown } | { error: string };
