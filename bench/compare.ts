// Runs every peer on one model, in alternating rounds.
import type { Latency } from "./measure.ts";
import { type BenchModel, prepareModel } from "./models.ts";
import type { Options } from "./options.ts";
import { PEERS } from "./peers/index.ts";
import type { BenchText, Peer } from "./peers/peer.ts";
import { PeerProcess } from "./process.ts";
import type { Cell, ModelResult, PeerResult, ScenarioResult, Throughputs } from "./results.ts";
import { runScenarios } from "./scenarios.ts";
import { TextSource } from "./texts.ts";

/** A cell is left out where one call would take longer than this. */
const LONGEST_CALL_MS = 15_000;
const CORPUS = 64;

export interface Loaded {
  peer: Peer;
  process: PeerProcess;
  result: PeerResult;
}

export const median = (values: number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

const reason = (error: unknown) => (error as Error).message.split("\n")[0]!;

export async function compareOn(
  name: BenchModel["name"],
  options: Options,
  report: (line: string) => void,
): Promise<ModelResult> {
  report(`${name}: preparing`);
  const model = await prepareModel(name);
  const source = new TextSource(model.f16);
  const peers = PEERS.filter((peer) => options.peers.includes(peer.name) && peer.serves(model));
  const loaded: Loaded[] = [];
  const results: PeerResult[] = [];
  let scenarios: ScenarioResult[] = [];
  try {
    for (const peer of peers) {
      report(`${name}: loading ${peer.name}`);
      const one = await loadPeer(peer, model, source, options);
      results.push(one.result);
      if (one.process) loaded.push({ ...one, process: one.process, peer });
    }
    await agree(loaded, [...source.uniform(16, 4), ...source.uniform(128, 2)]);
    for (const length of options.lengths) {
      for (const batch of options.batches) {
        report(`${name}: ${batch} × ${length} tokens`);
        await measureCell(loaded, source.uniform(length, CORPUS), length, batch, options);
      }
    }
    report(`${name}: latency`);
    await measureLatency(loaded, source.uniform(Math.min(...options.lengths), CORPUS), options);
    for (const { process, result } of loaded) result.memory = (await process.call("memory", {})).peak;
    if (options.scenarios) scenarios = await runScenarios(loaded, model, source, options, report);
  } finally {
    await Promise.all(loaded.map(({ process }) => process.close()));
  }
  const flops = Object.fromEntries(options.lengths.map((length) => [length, flopsPerToken(model, length)]));
  return { model: name, flops, peers: results, scenarios };
}

/** Loads a peer, in several fresh processes for the time that takes, and keeps the last. */
async function loadPeer(
  peer: Peer,
  model: BenchModel,
  source: TextSource,
  options: Options,
): Promise<{ result: PeerResult; process?: PeerProcess }> {
  const result: PeerResult = { peer: peer.name, note: peer.note, description: "", throughput: [] };
  const request = { peer: peer.name, model, threads: options.threads, text: source.uniform(16, 1)[0]! };
  const times: number[] = [];
  let process: PeerProcess | undefined;
  try {
    for (let round = 0; round < options.rounds; round++) {
      await process?.close();
      process = new PeerProcess(peer.name);
      const { ms, description } = await process.call("load", request);
      times.push(ms);
      result.description = description;
    }
    result.load = median(times);
    result.description = await process!.call("tune", { texts: source.uniform(128, 32) });
    return { result, process: process! };
  } catch (error) {
    await process?.close();
    return { result: { ...result, failure: reason(error) } };
  }
}

async function agree(loaded: Loaded[], texts: BenchText[]): Promise<void> {
  const expected = await loaded
    .find(({ peer }) => peer.name === "inlay")
    ?.process.call("vectors", { texts })
    .catch(() => undefined);
  if (!expected) return;
  for (const { process, result } of loaded) {
    try {
      const vectors = await process.call("vectors", { texts });
      result.agreement = Math.min(...vectors.map((vector, i) => cosine(vector, expected[i]!)));
    } catch (error) {
      result.agreement = { missing: reason(error) };
    }
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

async function measureCell(
  loaded: Loaded[],
  texts: BenchText[],
  length: number,
  batch: number,
  { rounds, milliseconds }: Options,
): Promise<void> {
  const rates = new Map<Loaded, { rates: number[]; gaps: number[]; missing?: string }>();
  for (const one of loaded) {
    const seconds = (length * batch) / fastestRate(one.result.throughput);
    const missing = seconds * 1000 > LONGEST_CALL_MS ? `a call would take ${Math.round(seconds)} s` : undefined;
    rates.set(one, { rates: [], gaps: [], ...(missing !== undefined && { missing }) });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [one, cell] of rates) {
      if (cell.missing !== undefined) continue;
      try {
        const request = { texts, batch, milliseconds, warmUp: round === 0 };
        const { tokensPerSecond, longestGap } = await one.process.call("throughput", request);
        cell.rates.push(tokensPerSecond);
        cell.gaps.push(longestGap);
      } catch (error) {
        cell.missing = reason(error);
      }
    }
  }
  for (const [one, { rates: values, gaps, missing }] of rates) {
    const cell = (numbers: number[]): Cell => (missing === undefined ? median(numbers) : { missing });
    one.result.throughput.push({ length, batch, tokensPerSecond: cell(values), longestGap: cell(gaps) });
  }
}

/** Of what is measured so far: a guess that rather tries a cell than leaves it out. */
function fastestRate(throughput: Throughputs[]): number {
  const rates = throughput.map(({ tokensPerSecond }) => tokensPerSecond).filter((rate) => typeof rate === "number");
  return rates.length > 0 ? Math.max(...rates) : Number.POSITIVE_INFINITY;
}

async function measureLatency(loaded: Loaded[], texts: BenchText[], { rounds, milliseconds }: Options): Promise<void> {
  const samples = new Map<Loaded, Latency[]>(loaded.map((one) => [one, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [one, measured] of samples) {
      try {
        measured.push(await one.process.call("latency", { texts, milliseconds }));
      } catch (error) {
        one.result.latency = { missing: reason(error) };
      }
    }
  }
  for (const [one, measured] of samples) {
    if (one.result.latency || measured.length === 0) continue;
    one.result.latency = {
      p50: median(measured.map(({ p50 }) => p50)),
      p99: median(measured.map(({ p99 }) => p99)),
      samples: measured.reduce((sum, { samples: count }) => sum + count, 0),
    };
  }
}

/** Matrix products of the layers and attention's two; norms, activations and pooling are left out. */
function flopsPerToken({ spec }: BenchModel, length: number): number {
  const { layers, dim, heads, ffn, kvHeads = heads, headSize = dim! / heads! } = spec;
  const queries = heads! * headSize;
  const keys = 2 * kvHeads! * headSize;
  const gated = spec.architecture !== "bert";
  const linear = dim! * (queries + keys) + queries * dim! + dim! * ffn! * (gated ? 3 : 2);
  const seen = spec.architecture === "qwen3" ? (length + 1) / 2 : length;
  return 2 * layers! * (linear + 2 * queries * seen);
}
