// What one peer is asked to do, inside its own process. Every function works on a peer that is loaded.
import { pbkdf2 } from "node:crypto";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import type { BenchText, Embedder } from "./peers/peer.ts";

export interface Throughput {
  tokensPerSecond: number;
  /** Longest time between two ticks of a 1 ms timer, in ms. */
  longestGap: number;
}

/** Milliseconds. */
export interface Latency {
  p50: number;
  p99: number;
  samples: number;
}

export interface PoolLatency {
  stat: Latency;
  pbkdf2: Latency;
}

function watchLoop(): () => number {
  let last = performance.now();
  let longest = 0;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(tick, 1);
  return () => {
    tick();
    clearInterval(timer);
    return longest;
  };
}

function summarise(samples: number[]): Latency {
  const sorted = samples.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { p50: at(0.5), p99: at(0.99), samples: sorted.length };
}

/** The next `size` texts in turn, from the start again at the end. */
function inTurn(texts: readonly BenchText[], size: number): () => BenchText[] {
  let next = 0;
  return () => Array.from({ length: size }, () => texts[next++ % texts.length]!);
}

export async function throughput(
  embedder: Embedder,
  texts: readonly BenchText[],
  batch: number,
  milliseconds: number,
  warmUp: boolean,
): Promise<Throughput> {
  const take = inTurn(texts, batch);
  if (warmUp) await embedder.embed(take(), "bulk");
  const stopWatching = watchLoop();
  const start = performance.now();
  let tokens = 0;
  do {
    const some = take();
    await embedder.embed(some, "bulk");
    for (const text of some) tokens += text.tokens;
  } while (performance.now() - start < milliseconds);
  const seconds = (performance.now() - start) / 1000;
  // A peer that never yields to the event loop has held it since the last tick.
  await new Promise((resolve) => setTimeout(resolve, 2));
  return { tokensPerSecond: tokens / seconds, longestGap: stopWatching() };
}

/** One text per call, one call after the other. */
export async function latency(embedder: Embedder, texts: readonly BenchText[], milliseconds: number): Promise<Latency> {
  const take = inTurn(texts, 1);
  for (let i = 0; i < 5; i++) await embedder.embed(take(), "interactive");
  return singleTexts(embedder, take, milliseconds);
}

function singleTexts(embedder: Embedder, take: () => BenchText[], milliseconds: number): Promise<Latency> {
  return timed(
    () => embedder.embed(take(), "interactive"),
    () => performance.now(),
    milliseconds,
  );
}

async function timed(call: () => Promise<unknown>, clock: () => number, milliseconds: number): Promise<Latency> {
  const samples: number[] = [];
  const end = clock() + milliseconds;
  do {
    const start = clock();
    await call();
    samples.push(clock() - start);
  } while (clock() < end && samples.length < 5000);
  return summarise(samples);
}

/** Keeps `embedder` busy with calls of `size` texts while `work` runs. */
async function whileBusy<T>(
  embedder: Embedder,
  texts: readonly BenchText[],
  size: number,
  work: () => Promise<T>,
): Promise<T> {
  const take = inTurn(texts, size);
  let over = false;
  const busy = (async () => {
    while (!over) {
      await embedder.embed(take(), "bulk");
      await new Promise(setImmediate);
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 20));
  try {
    return await work();
  } finally {
    over = true;
    await busy;
  }
}

/** The first text comes while the bulk job is under way already; who makes it wait for the whole job gets few samples. */
export function latencyUnderBulk(
  embedder: Embedder,
  bulk: readonly BenchText[],
  bulkSize: number,
  singles: readonly BenchText[],
  milliseconds: number,
): Promise<Latency> {
  return whileBusy(embedder, bulk, bulkSize, () => singleTexts(embedder, inTurn(singles, 1), milliseconds));
}

/** How long libuv's thread pool takes for others, alone or while `bulk` is embedded. */
export async function poolLatency(
  embedder: Embedder,
  bulk: readonly BenchText[] | undefined,
  milliseconds: number,
): Promise<PoolLatency> {
  const derive = promisify(pbkdf2);
  const measure = async (): Promise<PoolLatency> => {
    const clock = () => performance.now();
    const [statLatency, pbkdf2Latency] = await Promise.all([
      timed(() => pause().then(() => stat(__filename)), clock, milliseconds),
      timed(() => pause().then(() => derive("password", "salt", 1000, 32, "sha256")), clock, milliseconds),
    ]);
    return { stat: statLatency, pbkdf2: pbkdf2Latency };
  };
  return bulk ? whileBusy(embedder, bulk, 64, measure) : measure();
}

/** Lets other callbacks of the event loop run between two samples. */
const pause = () => new Promise<void>((resolve) => setImmediate(resolve));
