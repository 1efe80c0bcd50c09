import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { isMainThread } from "node:worker_threads";
import { fromNative, InlayError, type NativeFailure } from "./errors.ts";
import { packageRoot } from "./package.ts";

/** What JavaScript holds of a native object; only the addon looks inside. */
export interface NativeHandle {
  readonly native: unique symbol;
}

export interface NativeModelInfo {
  engine: "fused" | "ggml";
  architecture: string;
  title: string;
  device: string;
  precision: string;
  isa: string;
  tokenizer: "exact" | "llama";
  pooling: "mean" | "cls" | "last";
  dimensions: number;
  contextLength: number;
  vocabulary: number;
  parameters: number;
  flopsPerToken: number;
  specials: number;
  weights: number;
  fingerprint: string;
  healed: string[];
}

export interface NativeLoadOptions {
  path: string;
  engine: string;
  device: string;
  precision: string;
  tokenizer: string;
  pooling: number;
  contextLength: number;
  gpuLayers: number;
  mmap: boolean;
  checkTensors: boolean;
  memoryLeft: number;
}

export interface NativeResult {
  truncated: number[];
  ids: Int32Array[];
  failures?: NativeFailure[];
}

export interface NativeStats {
  threads: number;
  jobs: number;
  texts: number;
  tokens: number;
  bytes: number;
  maxBytes: number;
  maxTokens: number;
  totalJobs: number;
  totalTexts: number;
  totalTokens: number;
  microBatches: number;
  deduplicated: number;
  aborted: number;
  failed: number;
  tokensPerSecond: number;
  weights: number;
  workspaces: number;
  resident: number;
}

/** Bits of `createJob`'s flags; native/addon/jobs.cpp has the same. */
export const FLAG = {
  truncate: 1,
  normalize: 2,
  parseSpecial: 4,
  addSpecial: 8,
  collect: 16,
  bulk: 32,
  tokenize: 64,
} as const;

/** `FailureCode`s that JavaScript hands to `cancelJob`; native/failure.h. */
export const CANCEL = { disposed: 8, aborted: 9 } as const;

export interface Native {
  load(options: NativeLoadOptions): {
    promise: Promise<{ model: NativeHandle; info: NativeModelInfo }>;
    control: NativeHandle;
  };
  loadProgress(control: NativeHandle): number;
  cancelLoad(control: NativeHandle): void;
  releaseModel(model: NativeHandle): Promise<void>;
  workspaceBytes(model: NativeHandle): number;
  trimModel(model: NativeHandle): void;
  createJob(
    model: NativeHandle,
    flags: number,
    count: number,
    bytes: number,
    dimensions: number,
    limit: number,
    threads: number,
    rows: Float32Array | null,
    tokens: Int32Array,
  ): { job: NativeHandle; promise: Promise<NativeResult> };
  appendTexts(job: NativeHandle, texts: readonly string[], from: number, to: number, continued: boolean): void;
  appendTokens(job: NativeHandle, ids: Int32Array[]): void;
  cancelJob(job: NativeHandle, code: number, message: string): void;
  hasStarted(job: NativeHandle): boolean;
  machine(): {
    cores: number;
    coresWhy: string;
    memory: number;
    memoryWhy: string;
    uvPoolSize: number;
    llamaVersion: string;
    /** Kernels in use for float32 and bfloat16 ("none"), and all that this CPU can run. */
    isa: string;
    isaBf16: string;
    isaInt8: string;
    isas: string[];
  };
  ceiling(): { gflops: number; threads: number; precision: string };
  devices(): { name: string; description: string; memoryFree: number; memoryTotal: number }[];
  configure(threads: number, maxBytes: number, maxTokens: number): void;
  stats(): NativeStats;
  shutdown(): void;
  formatFloats(values: Float32Array): Promise<Uint8Array>;
}

let loaded: Native | undefined;

/** The addon, loaded on first use. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

/** Runs a call into the addon; what it throws becomes an {@link InlayError}. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw toInlayError(error);
  }
}

/** What the addon threw or rejected with. */
export function toInlayError(error: unknown): Error {
  if (error instanceof InlayError) return error;
  const failure = (error as { failure?: NativeFailure }).failure ?? (error as NativeFailure);
  return typeof failure?.code === "number" ? fromNative(failure) : (error as Error);
}

function load(): Native {
  const failures: string[] = [];
  for (const candidate of candidates()) {
    try {
      const addon = candidate() as Native | undefined;
      if (!addon) continue;
      // process.exit() runs no native cleanup hooks on the main thread.
      if (isMainThread) process.once("exit", () => addon.shutdown());
      return addon;
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  throw new InlayError("ERR_ADDON_LOAD", advice(failures));
}

/** Where the addon may be, best first: the caller's choice, the shipped build, the build of a checkout. */
function candidates(): (() => unknown)[] {
  const chosen = process.env.INLAY_ADDON;
  if (chosen) return [() => require(resolve(chosen))];
  return [
    () => (existsSync(join(packageRoot, "prebuilds")) ? require(prebuild()) : undefined),
    () => {
      const local = join(packageRoot, "build", "Release", "inlay.node");
      return existsSync(local) ? require(local) : undefined;
    },
  ];
}

function prebuild(): string {
  // node-gyp-build reads this once, while it is loaded: a stale local build must not shadow the shipped one.
  const before = process.env.PREBUILDS_ONLY;
  process.env.PREBUILDS_ONLY = "1";
  try {
    return (require("node-gyp-build") as { resolve(folder: string): string }).resolve(packageRoot);
  } finally {
    if (before === undefined) delete process.env.PREBUILDS_ONLY;
    else process.env.PREBUILDS_ONLY = before;
  }
}

function advice(failures: string[]): string {
  const here = `${process.platform}-${process.arch}, Node ${process.versions.node}`;
  const text = failures.join("\n");
  const intro = `inlay's native addon could not be loaded (${here}).`;
  if (failures.length === 0) {
    return `${intro} There is no build of it for this platform: in a checkout run \`npm run build\`; in an installed package, build from source with \`npm explore inlay -- npm run build\`.`;
  }
  if (/GLIBC(XX)?_[\d.]+/.test(text)) {
    return `${intro} This system's C library is older than the addon needs; use a newer system or build from source (\`npm explore inlay -- npm run build\`).\n${text}`;
  }
  if (/no-addons|ERR_DLOPEN_DISABLED/.test(text)) return `${intro} Node was started with --no-addons.\n${text}`;
  if (/This CPU/.test(text)) return `${intro} ${text}`;
  return `${intro}\n${text}`;
}
