import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";

const cli = join(__dirname, "..", "..", "dist", "cli", "main.js");

/** Whether nothing here can give a child a terminal: tests of what people see are then skipped. */
export const terminalMissing = process.platform !== "linux" || spawnSync("script", ["--version"]).status !== 0;

if (terminalMissing) console.warn("util-linux's `script` is not at hand: tests of output on a terminal are skipped.");

/** Runs `inlay` on a terminal of its own; returns all that it shows there. */
export function onTerminal(args: string[]): Promise<{ code: number; shown: string }> {
  const command = [process.execPath, cli, ...args].map((word) => `'${word}'`).join(" ");
  return new Promise((resolve) => {
    execFile("script", ["-qec", command, "/dev/null"], { timeout: 50_000 }, (error, stdout) => {
      resolve({ code: error ? Number(error.code) : 0, shown: stdout.replaceAll("\r\n", "\n") });
    }).stdin?.end();
  });
}
