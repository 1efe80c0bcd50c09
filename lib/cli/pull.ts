import type { Command } from "commander";
import { pullModel } from "../models/index.ts";
import { interruptible } from "./interrupt.ts";
import { FileProgress } from "./progress.ts";

interface PullFlags {
  json?: boolean;
  force?: boolean;
  endpoint?: string;
}

/** Adds `inlay pull`. */
export function register(program: Command): void {
  program
    .command("pull")
    .description(
      "fetch models to this machine: by catalogue name, hf:owner/repo[/file][:quantisation] or https://…#sha256=…",
    )
    .argument("<models...>", "names of models; inlay list --catalogue shows some")
    .option("--force", "fetch again what is here already")
    .option("--endpoint <url>", "address of the hub or a mirror (default: HF_ENDPOINT, else the Hugging Face hub)")
    .option("--json", "print JSON instead of paths")
    .action((models: string[], flags: PullFlags) => interruptible((signal) => run(models, flags, signal)));
}

async function run(models: string[], { json, force, endpoint }: PullFlags, signal: AbortSignal): Promise<void> {
  for (const name of models) {
    const progress = new FileProgress(!json);
    try {
      const pulled = await pullModel(name, { signal, force, endpoint, onProgress: (step) => progress.show(step) });
      progress.end();
      process.stdout.write(json ? `${JSON.stringify(pulled)}\n` : `${pulled.path}\n`);
    } finally {
      progress.end();
    }
  }
}
