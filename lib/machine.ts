import { InlayError } from "./errors.ts";
import { native } from "./native.ts";

/** Threads and memory as this process may use them, and why. @internal */
export interface Limits {
  threads: number;
  threadsWhy: string;
  memoryBudget: number;
  memoryWhy: string;
}

let limits: Limits | undefined;

/** Reads the machine once, applies INLAY_THREADS, INLAY_MEMORY and INLAY_QUEUE_*, and tells the scheduler. @internal */
export function processLimits(): Limits {
  limits ??= readLimits();
  return limits;
}

/** A model that asks for more threads than the process has by default gets them. @internal */
export function allowThreads(threads: number): void {
  const current = processLimits();
  if (threads <= current.threads) return;
  current.threads = threads;
  current.threadsWhy = "asked for by a model";
  applyToScheduler(current);
}

function readLimits(): Limits {
  const machine = native().machine();
  const threads = numberFrom("INLAY_THREADS", 1, 4096);
  const memory = bytesFrom("INLAY_MEMORY");
  const read: Limits = {
    threads: threads ?? machine.cores,
    threadsWhy: threads ? "INLAY_THREADS" : machine.coresWhy,
    // What is left is for the host: its heap, its page cache, this package's buffers.
    memoryBudget: memory ?? Math.floor(machine.memory * 0.8),
    memoryWhy: memory ? "INLAY_MEMORY" : `four fifths of the ${machine.memoryWhy}`,
  };
  applyToScheduler(read);
  return read;
}

function applyToScheduler({ threads }: Limits): void {
  native().configure(
    threads,
    bytesFrom("INLAY_QUEUE_BYTES") ?? 0,
    numberFrom("INLAY_QUEUE_TOKENS", 1, Number.MAX_SAFE_INTEGER) ?? 0,
  );
}

function numberFrom(variable: string, least: number, most: number): number | undefined {
  const text = process.env[variable]?.trim();
  if (!text) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InlayError(
    "ERR_INPUT_INVALID",
    `${variable} must be a whole number from ${least} to ${most}, it is "${text}".`,
  );
}

function bytesFrom(variable: string): number | undefined {
  const text = process.env[variable]?.trim();
  if (!text) return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (!match)
    throw new InlayError("ERR_INPUT_INVALID", `${variable} must be a size such as "2GB" or "512MB", it is "${text}".`);
  return Math.floor(Number(match[1]) * 1024 ** ["", "k", "m", "g", "t"].indexOf(match[2]!.toLowerCase()));
}
