// What a process does besides embedding, and work that is not uniform.
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Loaded, median } from "./compare.ts";
import { type BenchModel, CACHE } from "./models.ts";
import type { Options } from "./options.ts";
import { PeerProcess } from "./process.ts";
import type { ScenarioResult } from "./results.ts";
import type { TextSource } from "./texts.ts";

const BATCH = 32;

export async function runScenarios(
  loaded: Loaded[],
  model: BenchModel,
  source: TextSource,
  options: Options,
  report: (line: string) => void,
): Promise<ScenarioResult[]> {
  const { milliseconds } = options;
  const results = new Map<Loaded, ScenarioResult>(loaded.map((one) => [one, { peer: one.peer.name, failures: [] }]));
  const bulk = source.uniform(128, 64);
  const singles = source.uniform(16, 64);
  const mixed = source.mixed(256);
  const mean = Math.round(mixed.reduce((sum, { tokens }) => sum + tokens, 0) / mixed.length);
  const uniform = source.uniform(mean, 256);

  const each = async (title: string, work: (one: Loaded, result: ScenarioResult) => Promise<void>) => {
    report(`${model.name}: ${title}`);
    for (const [one, result] of results) {
      try {
        await work(one, result);
      } catch (error) {
        result.failures.push(`${title}: ${(error as Error).message.split("\n")[0]}`);
      }
    }
  };
  const rate = async (process: PeerProcess, texts: typeof bulk) => {
    const rates: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const request = { texts, batch: BATCH, milliseconds, warmUp: false };
      rates.push((await process.call("throughput", request)).tokensPerSecond);
    }
    return median(rates);
  };

  await each("single texts during a bulk job", async ({ process }, result) => {
    result.latencyAlone = await process.call("latency", { texts: singles, milliseconds });
    const request = { bulk, bulkSize: options.bulk, singles, milliseconds };
    result.latencyUnderBulk = await process.call("latencyUnderBulk", request);
  });
  await each("thread pool", async ({ process }, result) => {
    result.poolIdle = await process.call("pool", { milliseconds });
    result.poolBusy = await process.call("pool", { bulk, milliseconds });
  });
  await each("mixed lengths", async ({ process }, result) => {
    result.uniform = await rate(process, uniform);
    result.mixed = await rate(process, mixed);
  });
  await each("all threads", async ({ process }, result) => {
    result.allThreads = await rate(process, bulk);
  });
  await withBusyNeighbour(() =>
    each("busy neighbour", async ({ process }, result) => {
      result.busyNeighbour = await rate(process, bulk);
    }),
  );
  await each("one thread", async ({ peer }, result) => {
    const alone = new PeerProcess(peer.name);
    try {
      await alone.call("load", { peer: peer.name, model, threads: 1, text: singles[0]! });
      result.oneThread = await rate(alone, bulk);
    } finally {
      await alone.close();
    }
  });
  return [...results.values()];
}

/** Runs `work` while another process keeps one core busy. */
async function withBusyNeighbour(work: () => Promise<void>): Promise<void> {
  const script = join(CACHE, "busy.cjs");
  writeFileSync(script, "for (;;);\n");
  const neighbour = fork(script, { stdio: "ignore" });
  try {
    await work();
  } finally {
    neighbour.kill("SIGKILL");
  }
}
