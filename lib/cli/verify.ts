import type { Command } from "commander";
import { listModels, type VerifiedModel, verifyModel } from "../models/index.ts";
import { interruptible } from "./interrupt.ts";
import { FileProgress } from "./progress.ts";

/** Adds `inlay verify`. */
export function register(program: Command): void {
  program
    .command("verify")
    .description("compare models' files with the hashes that their sources vouch for; exit code 1 if one differs")
    .argument("[models...]", "names of models (default: every one on this machine whose source states a hash)")
    .option("--json", "print JSON")
    .action((models: string[], flags: { json?: boolean }) => interruptible((signal) => run(models, flags, signal)));
}

async function run(models: string[], { json }: { json?: boolean }, signal: AbortSignal): Promise<void> {
  const names = models.length > 0 ? models : await vouchedModels();
  if (names.length === 0 && !json) process.stdout.write("no model here has a source that states its hash\n");
  for (const name of names) {
    const progress = new FileProgress(!json);
    const verified = await verifyModel(name, { signal, onProgress: (step) => progress.show(step) }).finally(() =>
      progress.end(),
    );
    process.stdout.write(json ? `${JSON.stringify(verified)}\n` : `${sentence(verified)}\n`);
    if (verified.state === "wrong") process.exitCode = 1;
  }
}

async function vouchedModels(): Promise<string[]> {
  return (await listModels()).filter(({ sha256 }) => sha256 !== undefined).map(({ name }) => name);
}

function sentence({ name, state, sha256, expected, path }: VerifiedModel): string {
  switch (state) {
    case "right":
      return `right      ${name}`;
    case "unvouched":
      return `unvouched  ${name}: no source states a hash; it is ${sha256}`;
    case "wrong":
      return `WRONG      ${name}: ${path} has ${sha256} instead of ${expected}`;
  }
}
