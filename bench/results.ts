// What a run finds, as it is written to the JSON file.
import type { Latency, PoolLatency } from "./measure.ts";
import type { ModelName } from "./models.ts";

/** Median over the rounds, or why there is none. */
export type Cell = number | { missing: string };

export interface Throughputs {
  length: number;
  batch: number;
  tokensPerSecond: Cell;
  /** In ms. */
  longestGap: Cell;
}

export interface PeerResult {
  peer: string;
  note: string;
  description: string;
  /** Why the peer did not load; nothing below is then present. */
  failure?: string;
  /** From importing the package to the first vector, in ms. */
  load?: number;
  /** Bytes resident at the peak. */
  memory?: number;
  /** Smallest cosine to inlay's vectors of the same texts. */
  agreement?: Cell;
  throughput: Throughputs[];
  /** One text per call, of the shortest length, in ms. */
  latency?: Latency | { missing: string };
}

export interface ModelResult {
  model: ModelName;
  /** Floating-point operations per token of a text of this length, a multiplication and an addition counted as two. */
  flops: Record<number, number>;
  peers: PeerResult[];
  scenarios: ScenarioResult[];
}

export interface ScenarioResult {
  peer: string;
  /** One short text per call while calls of 64 texts of 128 tokens are under way. */
  latencyAlone?: Latency;
  latencyUnderBulk?: Latency;
  poolIdle?: PoolLatency;
  poolBusy?: PoolLatency;
  /** Tokens/s of mixed lengths, and of texts of their mean length. */
  mixed?: number;
  uniform?: number;
  /** Tokens/s with one thread and with all. */
  oneThread?: number;
  allThreads?: number;
  /** Tokens/s while another process keeps one core busy. */
  busyNeighbour?: number;
  failures: string[];
}

/** As `inlay doctor --json` measures it with registers only: GFLOP/s of `threads` threads in `precision`. */
export interface Ceiling {
  gflops: number;
  threads: number;
  precision: string;
}

export interface Results {
  date: string;
  machine: { cpu: string; cores: number; memoryBytes: number; platform: string; node: string; load: number };
  threads: number;
  rounds: number;
  ceiling?: Ceiling;
  models: ModelResult[];
  /** Installed bytes by npm package. */
  sizes: Record<string, number>;
}
