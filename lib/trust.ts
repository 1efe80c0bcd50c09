import { fork } from "node:child_process";
import { join } from "node:path";
import { InlayError } from "./errors.ts";
import type { NativeLoadOptions } from "./native.ts";
import { packageRoot } from "./package.ts";

/** A file that takes longer than this to load and try out is not let near the process. */
const PATIENCE = 120_000;

/** What the child reports. @internal */
export interface TrialReport {
  error?: { code: ConstructorParameters<typeof InlayError>[0]; message: string; rule?: string };
}

/**
 * Loads a file that nobody vouches for in a process of its own first, with every weight read and checked, and embeds
 * texts with it. What ends that process is an error here. @internal
 */
export async function tryInChild(options: NativeLoadOptions, signal?: AbortSignal): Promise<void> {
  const child = fork(join(packageRoot, "dist", "trial.js"), [JSON.stringify(options)], {
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    // In Electron, execPath is Electron itself.
    env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" },
  });
  let report: TrialReport | undefined;
  child.on("message", (message) => {
    report = message as TrialReport;
  });
  const stop = () => child.kill("SIGKILL");
  const deadline = setTimeout(stop, PATIENCE);
  signal?.addEventListener("abort", stop, { once: true });
  const ended = await new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, by) => resolve({ code, signal: by }));
  }).finally(() => {
    clearTimeout(deadline);
    signal?.removeEventListener("abort", stop);
  });
  signal?.throwIfAborted();
  if (report?.error) throw new InlayError(report.error.code, report.error.message, { rule: report.error.rule });
  if (!report) {
    const how = ended.signal ? `by ${ended.signal}` : `with code ${ended.code}`;
    throw new InlayError(
      "ERR_MODEL_INVALID",
      `The process that tried the model out ended ${how}; the file is not safe to load.`,
      {
        rule: "TRIAL",
      },
    );
  }
}
