// Installs what the benchmark needs if it is missing, bundles it with the test support it shares, and runs it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));

function run(command, args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: folder, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) {
    console.error(`${command} ${args.join(" ")} ended with ${signal ?? status}`);
    process.exit(status ?? 1);
  }
}

if (!existsSync(join(folder, "node_modules", ".package-lock.json"))) {
  console.error("Installing the peers (about 1.5 GB) into bench/node_modules …");
  run("npm", ["ci", "--no-audit", "--no-fund"]);
}

const { build } = await import("esbuild");
const bundles = join(folder, ".cache", "bundle");
await build({
  entryPoints: [join(folder, "main.ts"), join(folder, "child.ts")],
  outdir: bundles,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20",
  format: "cjs",
  logLevel: "warning",
});
const { status } = spawnSync(process.execPath, [join(bundles, "main.cjs"), ...process.argv.slice(2)], {
  cwd: process.env.INIT_CWD ?? process.cwd(),
  stdio: "inherit",
});
process.exitCode = status ?? 1;
