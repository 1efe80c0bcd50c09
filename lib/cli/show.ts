import type { Command } from "commander";
import { BUILTIN_MODEL, loadModel } from "../index.ts";
import { resolveModel } from "../models/index.ts";
import { promptsFor } from "../prompts.ts";

/** Adds `inlay show`. */
export function register(program: Command): void {
  program
    .command("show")
    .description("what a model is: architecture, dimensions, context, pooling, prompts, memory")
    .argument("[model]", "model, by name or path", BUILTIN_MODEL)
    .option("--json", "print JSON")
    .action(run);
}

async function run(name: string, { json }: { json?: boolean }): Promise<void> {
  const { path, source } = await resolveModel(name);
  const model = await loadModel(name);
  try {
    const { info } = model;
    const prompts = promptsFor(info, name);
    const facts = { ...info, path, source, prompts };
    if (json) process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    else process.stdout.write(`${table(facts).join("\n")}\n`);
  } finally {
    await model.dispose();
  }
}

function table(facts: Record<string, unknown>): string[] {
  const { memory, healed, prompts, ...plain } = facts as {
    memory: { weights: number };
    healed: string[];
    prompts: Record<string, string>;
  };
  const rows = Object.entries(plain).filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(...rows.map(([key]) => key.length));
  return [
    ...rows.map(([key, value]) => `${key.padEnd(width)}  ${String(value)}`),
    `${"weights".padEnd(width)}  ${(memory.weights / 2 ** 20).toFixed(1)} MiB`,
    ...Object.entries(prompts).map(([task, prompt]) => `${"prompt".padEnd(width)}  ${task}: ${JSON.stringify(prompt)}`),
    ...healed.map((sentence) => `${"healed".padEnd(width)}  ${sentence}`),
  ];
}
