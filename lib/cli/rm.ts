import type { Command } from "commander";
import { removeModel } from "../models/index.ts";
import { formatBytes } from "./table.ts";

/** Adds `inlay rm`. */
export function register(program: Command): void {
  program
    .command("rm")
    .description("remove models that inlay pull fetched; never those of Ollama or other tools")
    .argument("<models...>", "names of models")
    .option("--json", "print JSON")
    .action(run);
}

async function run(models: string[], { json }: { json?: boolean }): Promise<void> {
  for (const name of models) {
    const removed = await removeModel(name);
    process.stdout.write(
      json ? `${JSON.stringify(removed)}\n` : `removed ${name}, which frees ${formatBytes(removed.bytes)}\n`,
    );
  }
}
