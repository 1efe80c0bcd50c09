import { stat } from "node:fs/promises";
import { InlayError } from "./errors.ts";
import { publish } from "./events.ts";
import type { Call } from "./jobs.ts";
import { allowThreads, processLimits } from "./machine.ts";
import { type ResolvedModel, resolveModel } from "./models/index.ts";
import {
  CANCEL,
  type NativeHandle,
  type NativeLoadOptions,
  type NativeModelInfo,
  native,
  toInlayError,
} from "./native.ts";
import { tryInChild } from "./trust.ts";
import type { LoadedModel, LoadOptions, ModelInfo, ModelOptions, RuntimeStats } from "./types.ts";
import { toMilliseconds } from "./validate.ts";

/** setTimeout's longest delay; a longer one is waited for in several. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;
const POOLING = { unspecified: -1, mean: 1, cls: 2, last: 3 } as const;

/** What decides whether two requests can share one loaded copy. */
type Variant = Required<Pick<LoadOptions, "engine" | "precision" | "device" | "tokenizer" | "mmap">> & {
  pooling: keyof typeof POOLING;
  gpuLayers: number;
};

/** One loaded model of this thread, shared by its handles and its requests. @internal */
export class Entry {
  readonly names: Set<string>;
  handles = 0;
  lastUsed = performance.now();
  readonly #jobs = new Set<NativeHandle>();
  #calls = 0;
  #closing: Promise<void> | undefined;
  #refusing = false;
  #keepAlive: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #expiresAt: number | null | undefined;
  #idle: (() => void) | undefined;

  constructor(
    readonly key: string,
    readonly path: string,
    readonly sha256: string | undefined,
    readonly native: NativeHandle,
    readonly info: NativeModelInfo,
    /** What the model's source says a request means that names no options of its own. */
    readonly defaults: ModelOptions,
    name: string,
  ) {
    this.names = new Set([name]);
  }

  /** A keep-alive lasts until another request names a different one. */
  keepAliveFor(milliseconds: number): void {
    this.#keepAlive = milliseconds;
  }

  /** Where nobody has said yet how long the model stays. */
  keepAliveByDefault(milliseconds: number): void {
    this.#keepAlive ??= milliseconds;
  }

  acquire(): void {
    if (this.closed) throw disposed(this.names);
    clearTimeout(this.#timer);
    this.#expiresAt = undefined;
    this.handles++;
  }

  release(): void {
    this.handles--;
    this.lastUsed = performance.now();
    if (this.handles > 0 || this.closed) return;
    const delay = this.#keepAlive ?? 0;
    if (delay === 0) void this.close();
    else this.#expireAfter(delay);
  }

  get expiresAt(): number | null | undefined {
    return this.#expiresAt;
  }

  /** Counts a call from its first moment on: the memory stays until every call has ended. */
  begin(): Call {
    this.#calls++;
    let own: NativeHandle | undefined;
    return {
      proceed: () => {
        if (this.#refusing) throw disposed(this.names);
      },
      watch: (job) => {
        own = job;
        this.#jobs.add(job);
      },
      end: () => {
        if (own) this.#jobs.delete(own);
        if (--this.#calls === 0) this.#idle?.();
      },
    };
  }

  /** Frees the memory once every call has ended. With `refuse`, calls whose passes have not begun get `ERR_DISPOSED`. */
  close({ refuse = false } = {}): Promise<void> {
    if (refuse) this.#refuse();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  #refuse(): void {
    this.#refusing = true;
    const addon = native();
    for (const job of this.#jobs) {
      if (!addon.hasStarted(job)) addon.cancelJob(job, CANCEL.disposed, disposed(this.names).message);
    }
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    entries.delete(this.key);
    for (const name of aliases.keys()) if (aliases.get(name) === this) aliases.delete(name);
    if (this.#calls > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await native().releaseModel(this.native);
    counters.unloads++;
    publish("unload", () => ({ model: [...this.names][0], path: this.path }));
  }

  #expireAfter(delay: number): void {
    if (delay === Number.POSITIVE_INFINITY) {
      this.#expiresAt = null;
      return;
    }
    this.#expiresAt = Date.now() + delay;
    const step = Math.min(delay, LONGEST_TIMEOUT);
    this.#timer = setTimeout(() => (delay > step ? this.#expireAfter(delay - step) : void this.close()), step);
    this.#timer.unref();
  }
}

const entries = new Map<string, Entry>();
/** A load that several calls may wait for; it is given up when the last of them is. */
interface Load {
  promise: Promise<Entry>;
  waiting: number;
  controller: AbortController;
}

/** Loads under way, by the same key as entries. */
const loading = new Map<string, Load>();
/** Name and options as asked → entry, so that a request to a loaded model looks at no file. */
const aliases = new Map<string, Entry>();
const counters = { loads: 0, unloads: 0, evictions: 0 };
/** Loads take turns: each holds one thread of libuv's pool. */
let turn: Promise<unknown> = Promise.resolve();

/** The loaded model for a name; loads it where it is not. The caller owes a `release()`. @internal */
export async function acquire(name: string, options: LoadOptions & { gpuLayers?: number }): Promise<Entry> {
  options.signal?.throwIfAborted();
  const variant = variantOf(options);
  const alias = `${JSON.stringify(variant)} ${name}`;
  let entry = aliases.get(alias);
  if (!entry) {
    entry = await find(name, variant, options);
    entry.names.add(name);
    aliases.set(alias, entry);
  }
  if (options.threads) allowThreads(options.threads);
  entry.acquire();
  return entry;
}

async function find(name: string, variant: Variant, options: LoadOptions): Promise<Entry> {
  const resolved = await resolveModel(name, { signal: options.signal });
  const key = `${JSON.stringify(variant)} ${resolved.path}`;
  const present = entries.get(key);
  if (present) return present;
  let load = loading.get(key);
  if (!load) {
    const controller = new AbortController();
    const promise = loadInTurn(name, key, variant, resolved, { ...options, signal: controller.signal });
    load = { promise: promise.finally(() => loading.delete(key)), waiting: 0, controller };
    load.promise.catch(() => {}); // each caller waits for it below, unless its own signal comes first
    loading.set(key, load);
  }
  return waitFor(load, options.signal);
}

async function waitFor(load: Load, signal: AbortSignal | undefined): Promise<Entry> {
  load.waiting++;
  let abort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal!.reason);
  });
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([load.promise, aborted]);
  } catch (error) {
    if (signal?.aborted && load.waiting === 1) load.controller.abort(signal.reason);
    throw error;
  } finally {
    load.waiting--;
    signal?.removeEventListener("abort", abort);
  }
}

async function loadInTurn(
  name: string,
  key: string,
  variant: Variant,
  resolved: ResolvedModel,
  options: LoadOptions,
): Promise<Entry> {
  const before = turn;
  let done!: () => void;
  turn = new Promise<void>((resolve) => (done = resolve));
  try {
    await before;
    options.signal?.throwIfAborted();
    return await loadEntry(name, key, variant, resolved, options);
  } finally {
    done();
  }
}

async function loadEntry(
  name: string,
  key: string,
  variant: Variant,
  { path, sha256, defaults = {} }: ResolvedModel,
  options: LoadOptions,
): Promise<Entry> {
  const began = performance.now();
  const { memoryBudget } = processLimits();
  const memoryLeft = await makeRoom(path, memoryBudget);
  const untrusted = options.trust === "untrusted";
  const request: NativeLoadOptions = {
    path,
    engine: variant.engine,
    device: variant.device,
    precision: variant.precision,
    tokenizer: variant.tokenizer,
    pooling: POOLING[variant.pooling],
    contextLength: 0,
    gpuLayers: variant.gpuLayers,
    mmap: variant.mmap,
    checkTensors: untrusted,
    memoryLeft,
  };
  if (untrusted) await tryInChild(request, options.signal);
  const { promise, control } = native().load(request);
  const abort = () => native().cancelLoad(control);
  options.signal?.addEventListener("abort", abort, { once: true });
  const progress = options.onProgress && setInterval(() => options.onProgress?.(native().loadProgress(control)), 50);
  try {
    const { model, info } = await promise;
    if (options.signal?.aborted) {
      await native().releaseModel(model);
      throw options.signal.reason;
    }
    options.onProgress?.(1);
    const entry = new Entry(key, path, sha256, model, info, defaults, name);
    entries.set(key, entry);
    counters.loads++;
    publish("load", () => ({ model: name, path, duration: (performance.now() - began) / 1000, bytes: info.weights }));
    return entry;
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    const known = toInlayError(error);
    publish("error", () => ({ "error.type": (known as InlayError).code, model: name, message: known.message }));
    throw known;
  } finally {
    options.signal?.removeEventListener("abort", abort);
    clearInterval(progress);
  }
}

/** Unloads idle models, least recently used first, until the file fits the budget. Gives the bytes that are left. */
async function makeRoom(path: string, budget: number): Promise<number> {
  const { size } = await stat(path);
  const held = () => native().stats().weights;
  while (budget - held() < size) {
    const idle = [...entries.values()]
      .filter((entry) => entry.handles === 0)
      .sort((a, b) => a.lastUsed - b.lastUsed)[0];
    if (!idle) break;
    await idle.close();
    counters.evictions++;
  }
  return Math.max(0, budget - held());
}

function variantOf(options: LoadOptions & { gpuLayers?: number }): Variant {
  const gpuLayers = options.gpuLayers ?? -1;
  return {
    engine: options.engine ?? "auto",
    precision: options.precision ?? "auto",
    device: gpuLayers === 0 ? "cpu" : chooseDevice(options.device ?? "auto", options.engine),
    tokenizer: options.tokenizer ?? "exact",
    pooling: options.pooling ?? "unspecified",
    mmap: options.mmap ?? false,
    gpuLayers,
  };
}

/** `auto`: a GPU that this build and machine have, else the CPU. */
function chooseDevice(
  device: string,
  engine: LoadOptions["engine"],
): Exclude<LoadOptions["device"], "auto" | undefined> {
  if (device !== "auto") return device as "cpu";
  if (engine === "fused") return "cpu";
  gpu ??=
    native()
      .devices()
      .find(({ name }) => name === "metal" || name.startsWith("cuda"))?.name ?? "cpu";
  return gpu as "cpu";
}
let gpu: string | undefined;

/** @internal */
export function describe(entry: Entry, name: string, contextLength: number, threads: number): ModelInfo {
  const { info } = entry;
  return {
    name,
    title: info.title,
    sha256: entry.sha256,
    architecture: info.architecture,
    engine: info.engine,
    dimensions: info.dimensions,
    contextLength,
    vocabulary: info.vocabulary,
    parameters: info.parameters,
    pooling: info.pooling,
    device: info.device,
    precision: info.precision,
    isa: info.isa,
    tokenizer: info.tokenizer,
    threads: threads || processLimits().threads,
    fingerprint: info.fingerprint,
    memory: { weights: info.weights, workspaces: entry.closed ? 0 : native().workspaceBytes(entry.native) },
    healed: info.healed,
  };
}

/** The default keep-alive of `embed()`: `INLAY_KEEP_ALIVE`, else five minutes. @internal */
export function defaultKeepAlive(): number {
  const set = process.env.INLAY_KEEP_ALIVE;
  const milliseconds = set ? toMilliseconds(set) : Number.NaN;
  return Number.isNaN(milliseconds) ? 5 * 60_000 : milliseconds;
}

/** The models in memory, as this thread has loaded them. */
export function models(): LoadedModel[] {
  return [...entries.values()].map((entry) => ({
    names: [...entry.names],
    info: describe(entry, [...entry.names][0]!, entry.info.contextLength, 0),
    path: entry.path,
    sizeBytes: entry.info.weights,
    handles: entry.handles,
    expiresAt: entry.expiresAt,
  }));
}

/**
 * Unloads every copy of a model: what runs finishes, what waits gets `ERR_DISPOSED`. Gives whether there was one.
 * Handles that are still open answer `ERR_DISPOSED` from now on.
 */
export async function unload(name: string): Promise<boolean> {
  const found = [...entries.values()].filter((entry) => entry.names.has(name));
  await Promise.all(found.map((entry) => entry.close({ refuse: true })));
  return found.length > 0;
}

/** The runtime of this process. */
export const runtime: { stats(): RuntimeStats } = {
  stats(): RuntimeStats {
    const { memoryBudget } = processLimits();
    const s = native().stats();
    return {
      threads: s.threads,
      queue: {
        jobs: s.jobs,
        texts: s.texts,
        tokens: s.tokens,
        bytes: s.bytes,
        maxTokens: s.maxTokens,
        maxBytes: s.maxBytes,
      },
      totals: {
        jobs: s.totalJobs,
        texts: s.totalTexts,
        tokens: s.totalTokens,
        microBatches: s.microBatches,
        deduplicated: s.deduplicated,
        aborted: s.aborted,
        failed: s.failed,
        ...counters,
      },
      tokensPerSecond: s.tokensPerSecond,
      memory: { models: s.weights, workspaces: s.workspaces, budget: memoryBudget },
    };
  },
};

/** @internal */
export function disposed(names: Iterable<string>): InlayError {
  return new InlayError("ERR_DISPOSED", `The model "${[...names][0]}" has been unloaded; load it again.`);
}
