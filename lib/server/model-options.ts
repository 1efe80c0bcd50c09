import type { LoadOptions } from "../types.ts";
import { HttpError } from "./errors.ts";

export type OptionKind = "integer" | "float32" | "boolean" | "strings";

/** The options that Ollama knows, and so insists on the type of. */
export const OPTION_KINDS: Readonly<Record<string, OptionKind>> = {
  num_keep: "integer",
  seed: "integer",
  num_predict: "integer",
  top_k: "integer",
  top_p: "float32",
  min_p: "float32",
  typical_p: "float32",
  repeat_last_n: "integer",
  temperature: "float32",
  repeat_penalty: "float32",
  presence_penalty: "float32",
  frequency_penalty: "float32",
  stop: "strings",
  num_ctx: "integer",
  num_batch: "integer",
  num_gpu: "integer",
  main_gpu: "integer",
  use_mmap: "boolean",
  num_thread: "integer",
};

/** No model's context is longer; a request may say any number. */
const LONGEST_CONTEXT = 1 << 24;
const MOST_THREADS = 1024;
/** Special tokens that Ollama takes off the context before it cuts a text. */
const RESERVED = 2;

/** Checks the types of the options as Ollama does, and picks those that bear on embedding. Unknown ones are ignored. */
export function loadOptions(options: Record<string, unknown>): LoadOptions {
  const load: LoadOptions = {};
  for (const name of Object.keys(options)) {
    const value = options[name];
    if (value !== null && Object.hasOwn(OPTION_KINDS, name)) check(name, OPTION_KINDS[name]!, value);
  }
  const number = (name: string): number | undefined => {
    const value = options[name];
    return typeof value === "number" ? Math.trunc(value) : undefined;
  };
  const context = number("num_ctx");
  if (context !== undefined && context >= 0) load.contextLength = contextLength(context);
  const threads = number("num_thread");
  if (threads !== undefined && threads > 0) load.threads = Math.min(threads, MOST_THREADS);
  if (number("num_gpu") === 0) load.device = "cpu";
  return load;
}

function contextLength(context: number): number {
  if (context === 0) throw new HttpError(400, "input exceeds maximum context length and cannot be truncated further");
  if (context <= RESERVED) throw new HttpError(400, "input after truncation exceeds maximum context length");
  return Math.min(context, LONGEST_CONTEXT);
}

function check(name: string, kind: OptionKind, value: unknown): void {
  if (kind === "strings") {
    // Ollama's published schema allows one string, which its server refuses; nothing is made of it here.
    if (typeof value === "string") return;
    if (!Array.isArray(value)) throw new HttpError(500, `option "${name}" must be of type array`);
    if (value.some((item) => typeof item !== "string")) {
      throw new HttpError(500, `option "${name}" must be of an array of strings`);
    }
    return;
  }
  if (typeof value !== (kind === "boolean" ? "boolean" : "number")) {
    throw new HttpError(500, `option "${name}" must be of type ${kind}`);
  }
}
