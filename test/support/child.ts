import { spawn } from "node:child_process";
import { join } from "node:path";

export interface ChildOutcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs a fixture of test/fixtures against the built package in a process of its own. */
export function runFixture(
  name: string,
  args: string[] = [],
  { env = {}, timeout = 50_000 }: { env?: NodeJS.ProcessEnv; timeout?: number } = {},
): Promise<ChildOutcome> {
  return runNode([join(__dirname, "..", "fixtures", name), ...args], { env, timeout });
}

/** Runs `inlay` with arguments, and what it may read from standard input. */
export function runCli(
  args: string[],
  { env = {}, input = "", timeout = 50_000 }: { env?: NodeJS.ProcessEnv; input?: string; timeout?: number } = {},
): Promise<ChildOutcome> {
  return runNode([join(__dirname, "..", "..", "dist", "cli", "main.js"), ...args], { env, input, timeout });
}

function runNode(
  args: string[],
  { env, input, timeout }: { env: NodeJS.ProcessEnv; input?: string; timeout: number },
): Promise<ChildOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: "", ...env }, stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    const deadline = setTimeout(() => child.kill("SIGKILL"), timeout);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(deadline);
      resolve({ code, signal, stdout, stderr });
    });
    child.stdin.on("error", () => {}); // the child may end without reading
    child.stdin.end(input);
  });
}
