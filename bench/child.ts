// The process of one peer: loads it and measures it as told.
import { readFileSync } from "node:fs";
import { latency, latencyUnderBulk, poolLatency, throughput } from "./measure.ts";
import { PEERS } from "./peers/index.ts";
import type { BenchText, Embedder } from "./peers/peer.ts";
import type { Loaded, Memory, Reply, Request } from "./protocol.ts";

let embedder: Embedder;

async function load(request: Extract<Request, { command: "load" }>): Promise<Loaded> {
  const peer = PEERS.find(({ name }) => name === request.peer)!;
  const start = performance.now();
  embedder = await peer.load(request.model, request.threads);
  await embedder.embed([request.text], "interactive");
  return { ms: performance.now() - start, description: embedder.describe?.() ?? "" };
}

async function vectors(texts: BenchText[]): Promise<Float32Array[]> {
  return (await embedder.embed(texts, "bulk")).map((vector) => Float32Array.from(vector));
}

function memory(): Memory {
  const now = process.memoryUsage.rss();
  try {
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    return { now, peak: Number(peak![1]) * 1024 };
  } catch {
    return { now, peak: process.resourceUsage().maxRSS * 1024 };
  }
}

function answer(request: Request): unknown {
  switch (request.command) {
    case "load":
      return load(request);
    case "tune":
      return embedder.tune?.(request.texts) ?? embedder.describe?.() ?? "";
    case "vectors":
      return vectors(request.texts);
    case "throughput":
      return throughput(embedder, request.texts, request.batch, request.milliseconds, request.warmUp);
    case "latency":
      return latency(embedder, request.texts, request.milliseconds);
    case "latencyUnderBulk":
      return latencyUnderBulk(embedder, request.bulk, request.bulkSize, request.singles, request.milliseconds);
    case "pool":
      return poolLatency(embedder, request.bulk, request.milliseconds);
    case "memory":
      return memory();
  }
}

process.on("message", async (request: Request) => {
  let reply: Reply;
  try {
    reply = { value: await answer(request) };
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    reply = { error: code ? `${code}: ${message}` : String(message ?? error) };
  }
  process.send!(reply);
});
process.on("disconnect", () => process.exit());
