import type { Command } from "commander";
import { BUILTIN_MODEL, loadModel, version } from "../index.ts";
import { processLimits } from "../machine.ts";
import { searchedPlaces } from "../models/index.ts";
import { native } from "../native.ts";

interface Check {
  what: string;
  /** Empty where all is well; else what is wrong and what to do. */
  problem: string;
  facts: string[];
}

/** Adds `inlay doctor`. */
export function register(program: Command): void {
  program
    .command("doctor")
    .description("versions, CPU features, threads and why, devices, memory, where models are looked for, what is wrong")
    .option("--json", "print JSON")
    .action(run);
}

async function run({ json }: { json?: boolean }): Promise<void> {
  const checks = [await addonCheck(), ...(await Promise.all([placesCheck(), embedCheck()]))];
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ version, node: process.versions.node, platform: `${process.platform}-${process.arch}`, ...machineFacts(), checks }, null, 2)}\n`,
    );
  } else {
    for (const { what, problem, facts } of checks) {
      process.stdout.write(`${problem ? "✗" : "✓"} ${what}\n`);
      for (const fact of facts) process.stdout.write(`    ${fact}\n`);
      if (problem) process.stdout.write(`    ${problem}\n`);
    }
  }
  if (checks.some(({ problem }) => problem)) process.exitCode = 1;
}

function machineFacts(): Record<string, unknown> {
  try {
    const { threads, threadsWhy, memoryBudget, memoryWhy } = processLimits();
    const machine = native().machine();
    return {
      machine,
      ceiling: native().ceiling(),
      devices: native().devices(),
      threads,
      threadsWhy,
      memoryBudget,
      memoryWhy,
    };
  } catch {
    return {};
  }
}

async function addonCheck(): Promise<Check> {
  const what = `inlay ${version}, Node ${process.versions.node}, ${process.platform}-${process.arch}`;
  try {
    const machine = native().machine();
    const limits = processLimits();
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    const leaders = Math.max(1, machine.uvPoolSize - 2);
    return {
      what,
      problem: "",
      facts: [
        `llama.cpp ${machine.llamaVersion}`,
        `kernels: f32 ${machine.isa}, bf16 ${machine.isaBf16}, int8 ${machine.isaInt8} (this CPU has ${machine.isas.join(", ")})`,
        `threads: ${limits.threads} (${limits.threadsWhy}); at most ${Math.min(leaders, limits.threads)} of libuv's ${machine.uvPoolSize}, the others our own`,
        `memory: ${gib(limits.memoryBudget)} for models (${limits.memoryWhy})`,
        ...native()
          .devices()
          .map(({ name, description, memoryTotal }) => `device ${name}: ${description}, ${gib(memoryTotal)}`),
      ],
    };
  } catch (error) {
    return { what, problem: (error as Error).message, facts: [] };
  }
}

async function placesCheck(): Promise<Check> {
  const places = await searchedPlaces();
  return {
    what: "where models are looked for",
    problem: "",
    facts: places.map(({ source, path, state, models, detail }) => {
      const found = state === "found" ? `${models} ${models === 1 ? "model" : "models"}` : state;
      return `${source}: ${path}: ${found}${detail ? ` (${detail})` : ""}`;
    }),
  };
}

async function embedCheck(): Promise<Check> {
  const what = "the built-in model embeds a text";
  try {
    const began = performance.now();
    const model = await loadModel(BUILTIN_MODEL);
    const { embeddings } = await model.embed("why is the sky blue?");
    const { engine, isa, precision } = model.info;
    await model.dispose();
    const took = (performance.now() - began).toFixed(0);
    return {
      what,
      problem: "",
      facts: [`${embeddings[0]!.length} dimensions in ${took} ms, ${engine} engine, ${isa}, ${precision}`],
    };
  } catch (error) {
    return { what, problem: (error as Error).message, facts: [] };
  }
}
