import * as v from "valibot";
import { InlayError } from "./errors.ts";
import type { EmbedOptions, EmbedRequest, LoadOptions } from "./types.ts";

export const PRECISIONS = ["auto", "f32", "bf16", "int8"] as const;

const dimension = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1 << 20));
const tokens = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1 << 24));
const threads = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(4096));
const signal = v.instance(AbortSignal);
const callback = v.custom<() => void>((value) => typeof value === "function", "expected a function");

/** "5m", "1.5h", "100ms", "1h30m", seconds as a number, negative for ever: Go's durations, as Ollama reads them. */
const keepAlive = v.pipe(
  v.union([v.string(), v.pipe(v.number(), v.finite())]),
  v.check((value) => !Number.isNaN(toMilliseconds(value)), 'expected a duration such as "5m" or a number of seconds'),
);

const embedOptions = v.object({
  truncate: v.optional(v.boolean()),
  dimensions: v.optional(dimension),
  normalize: v.optional(v.boolean()),
  task: v.optional(v.string()),
  parseSpecial: v.optional(v.boolean()),
  priority: v.optional(v.picklist(["interactive", "bulk"])),
  pooledLong: v.optional(v.literal("mean")),
  signal: v.optional(signal),
  onError: v.optional(v.picklist(["throw", "yield"])),
  onProgress: v.optional(callback),
  startIndex: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))),
});

const loadOptions = v.object({
  engine: v.optional(v.picklist(["auto", "fused", "ggml"])),
  precision: v.optional(v.picklist(PRECISIONS)),
  device: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^(auto|cpu|metal|cuda(:\d{1,2})?)$/, 'expected "auto", "cpu", "cuda", "cuda:N" or "metal"'),
    ),
  ),
  threads: v.optional(threads),
  contextLength: v.optional(tokens),
  pooling: v.optional(v.picklist(["mean", "cls", "last"])),
  tokenizer: v.optional(v.picklist(["exact", "llama"])),
  mmap: v.optional(v.boolean()),
  trust: v.optional(v.picklist(["trusted", "untrusted"])),
  keepAlive: v.optional(keepAlive),
  signal: v.optional(signal),
  onProgress: v.optional(callback),
});

const embedRequest = v.object({
  model: v.pipe(v.string(), v.nonEmpty("expected a model's name")),
  truncate: v.optional(v.boolean()),
  dimensions: v.optional(dimension),
  keep_alive: v.optional(keepAlive),
  options: v.optional(
    v.looseObject({
      num_ctx: v.optional(tokens),
      num_thread: v.optional(threads),
      num_batch: v.optional(tokens),
      num_gpu: v.optional(v.pipe(v.number(), v.integer(), v.minValue(-1), v.maxValue(4096))),
      main_gpu: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(99))),
      use_mmap: v.optional(v.nullable(v.boolean())),
    }),
  ),
});

/** @internal */
export function checkEmbedOptions<T extends EmbedOptions>(options: T): T {
  check(embedOptions, options);
  return options;
}

/** @internal */
export function checkLoadOptions(options: LoadOptions): LoadOptions {
  check(loadOptions, options);
  return options;
}

/** Everything but `input`, which is checked text by text while it is handed over. @internal */
export function checkEmbedRequest(request: EmbedRequest): EmbedRequest {
  check(embedRequest, request);
  return request;
}

/** @internal */
export function checkModelName(name: string): void {
  check(embedRequest.entries.model, name);
}

/** @internal */
export function notAText(value: unknown, index: number): InlayError {
  const got = value === null ? "null" : Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
  return new InlayError("ERR_INPUT_INVALID", `Input ${index} must be a string, it is ${got}.`, { index });
}

/** A keep-alive as milliseconds; `Infinity` where it is negative. NaN where it cannot be read. @internal */
export function toMilliseconds(value: string | number): number {
  if (typeof value === "number") return value < 0 ? Number.POSITIVE_INFINITY : value * 1000;
  if (/^[-+]?\d+(\.\d+)?$/.test(value)) return toMilliseconds(Number(value));
  const match = /^([-+]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(value);
  if (!match) return Number.NaN;
  const unit: Record<string, number> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    μs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  let sum = 0;
  for (const [, amount, name] of match[2]!.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    sum += Number(amount) * unit[name!]!;
  }
  return match[1] === "-" && sum > 0 ? Number.POSITIVE_INFINITY : sum;
}

function check(schema: v.GenericSchema, value: unknown): void {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return;
  const issue = result.issues[0];
  const where = v.getDotPath(issue);
  throw new InlayError("ERR_INPUT_INVALID", where ? `${where}: ${sentence(issue)}` : sentence(issue));
}

function sentence(issue: v.BaseIssue<unknown>): string {
  return issue.message.startsWith("Invalid ") && issue.expected
    ? `expected ${issue.expected}, received ${issue.received}.`
    : `${issue.message}, received ${issue.received}.`;
}
