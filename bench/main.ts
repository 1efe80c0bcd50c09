import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import { compareOn } from "./compare.ts";
import { CACHE } from "./models.ts";
import { readOptions } from "./options.ts";
import { PEERS } from "./peers/index.ts";
import { ROOT } from "./peers/inlay.ts";
import { modelReport, sizeReport } from "./report.ts";
import type { Ceiling, Results } from "./results.ts";
import { installedBytes } from "./sizes.ts";

/** A line of progress on a terminal, nothing in a pipe. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

/** What the doctor's register-only probe reaches; absent where this build has none. */
function readCeiling(): Ceiling | undefined {
  try {
    const command = [join(ROOT, "dist", "cli", "main.js"), "doctor", "--json"];
    const output = execFileSync(process.execPath, command, { stdio: ["ignore", "pipe", "ignore"] });
    return JSON.parse(output.toString()).ceiling;
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  const ceiling = readCeiling();
  const results: Results = {
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryBytes: totalmem(),
      platform: `${process.platform}-${process.arch}`,
      node: process.version,
      load: loadavg()[0]!,
    },
    threads: options.threads,
    rounds: options.rounds,
    ...(ceiling && { ceiling }),
    models: [],
    sizes: {},
  };
  const { machine } = results;
  console.log(
    `${machine.cpu}, ${machine.cores} cores, load ${machine.load.toFixed(1)}, Node ${machine.node}; ` +
      `${options.threads} threads, medians of ${options.rounds} rounds\n`,
  );
  for (const name of options.models) {
    const model = await compareOn(name, options, progress);
    progress("");
    results.models.push(model);
    console.log(`${modelReport(model, ceiling)}\n`);
  }
  for (const { name, package: packageName } of PEERS) {
    if (!options.peers.includes(name) || packageName in results.sizes) continue;
    const bytes = installedBytes(packageName);
    if (bytes !== undefined) results.sizes[packageName] = bytes;
  }
  console.log(sizeReport(results));
  const path = resolve(options.json ?? join(CACHE, "results.json"));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, undefined, 2)}\n`);
  console.log(`\nwritten to ${path}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
