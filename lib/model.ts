import { chunkText } from "./chunk.ts";
import { embedStream } from "./embed-many.ts";
import { fromNative, InlayError } from "./errors.ts";
import { publish } from "./events.ts";
import { type JobRequest, runJob, runTokenJob } from "./jobs.ts";
import { embedLong } from "./long.ts";
import { FLAG } from "./native.ts";
import { promptFor } from "./prompts.ts";
import { acquire, describe, disposed, type Entry } from "./runtime.ts";
import { Turns } from "./turns.ts";
import type {
  Chunk,
  ChunkOptions,
  EmbeddedText,
  EmbeddingModel,
  EmbedManyOptions,
  EmbedOptions,
  EmbedResult,
  IdentifiedText,
  LoadOptions,
  ModelInfo,
  TokenizeOptions,
} from "./types.ts";
import { checkEmbedOptions, checkLoadOptions, checkModelName, notAText, toMilliseconds } from "./validate.ts";

/**
 * Loads a model, or gives another handle on it where it is loaded already.
 *
 * @param name a path, `"builtin"`, an Ollama name, `hf:owner/repo`, …: see docs/models.md
 * @throws InlayError `ERR_MODEL_NOT_FOUND`, `ERR_MODEL_INVALID`, `ERR_MODEL_UNSUPPORTED`, `ERR_OUT_OF_MEMORY`,
 *   `ERR_DEVICE`, `ERR_INPUT_INVALID`, `ERR_ADDON_LOAD`; `signal.reason` when aborted
 */
export async function loadModel(name: string, options: LoadOptions = {}): Promise<EmbeddingModel> {
  checkModelName(name);
  checkLoadOptions(options);
  const entry = await acquire(name, options);
  if (options.keepAlive !== undefined) entry.keepAliveFor(toMilliseconds(options.keepAlive));
  return new ModelHandle(entry, name, options);
}

/** Outcome of an embedding in which single texts may have failed. @internal */
export interface PartialResult extends EmbedResult {
  failures: Map<number, InlayError>;
}

/** @internal */
export class ModelHandle implements EmbeddingModel {
  readonly #entry: Entry;
  readonly #name: string;
  readonly #limit: number;
  readonly #threads: number;
  #disposing: Promise<void> | undefined;

  constructor(entry: Entry, name: string, options: Pick<LoadOptions, "contextLength" | "threads">) {
    this.#entry = entry;
    this.#name = name;
    const { contextLength } = entry.info;
    const { num_ctx, num_thread } = entry.defaults;
    this.#limit = Math.min(options.contextLength ?? positive(num_ctx) ?? contextLength, contextLength);
    this.#threads = options.threads ?? positive(num_thread) ?? 0;
  }

  get info(): ModelInfo {
    return describe(this.#entry, this.#name, this.#limit, this.#threads);
  }

  async embed(input: string | readonly string[], options: EmbedOptions = {}): Promise<EmbedResult> {
    checkEmbedOptions(options);
    const texts = snapshot(input);
    return options.pooledLong
      ? embedLong(this, texts, options, this.#limit - this.#entry.info.specials)
      : this.embedTexts(texts, options);
  }

  async embedTokens(input: readonly ArrayLike<number>[], options: EmbedOptions = {}): Promise<EmbedResult> {
    checkEmbedOptions(options);
    const ids = Array.from(input, checkIds);
    const request = this.#request(options);
    if (ids.length === 0) return this.#nothing();
    const outcome = await this.#observe(ids.length, () => runTokenJob(ids, request));
    return this.#result(outcome.rows, outcome.tokens, outcome.truncated, request.dimensions);
  }

  embedMany(
    source: Iterable<string | IdentifiedText> | AsyncIterable<string | IdentifiedText>,
    options: EmbedManyOptions = {},
  ): AsyncIterable<EmbeddedText> {
    checkEmbedOptions(options);
    return embedStream(this, source, options);
  }

  async tokenize(text: string, options: TokenizeOptions = {}): Promise<Int32Array> {
    const [ids] = await this.#tokenizeAll([text], options);
    return ids!;
  }

  async countTokens(input: string): Promise<number>;
  async countTokens(input: readonly string[]): Promise<number[]>;
  async countTokens(input: string | readonly string[]): Promise<number | number[]> {
    const counts = (await this.#tokenizeAll(snapshot(input), {})).map((ids) => ids.length);
    return typeof input === "string" ? counts[0]! : counts;
  }

  async chunk(text: string, options: ChunkOptions = {}): Promise<Chunk[]> {
    this.#refuseIfDisposed();
    if (typeof text !== "string") throw notAText(text, 0);
    const count = async (texts: readonly string[]) =>
      (await this.#tokenizeAll(texts, { addSpecial: false })).map((ids) => ids.length);
    return chunkText(text, options, { context: this.#limit, specials: this.#entry.info.specials, count });
  }

  dispose(): Promise<void> {
    this.#disposing ??= this.#release();
    return this.#disposing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** As `embed`, for texts and options that are checked already. @internal */
  async embedTexts(texts: readonly string[], options: EmbedOptions): Promise<EmbedResult> {
    const { failures, ...result } = await this.embedPartially(texts, options, false);
    return result;
  }

  /** With `collect`, a text that fails is reported beside the others' vectors. @internal */
  async embedPartially(texts: readonly string[], options: EmbedOptions, collect: boolean): Promise<PartialResult> {
    const request = this.#request(options);
    if (collect) request.flags |= FLAG.collect;
    if (texts.length === 0) return { ...this.#nothing(), failures: new Map() };
    const prompted = options.task === undefined ? texts : texts.map((text) => this.prompted(text, options));
    const outcome = await this.#observe(texts.length, () => runJob(prompted, request));
    const result = await this.#result(outcome.rows, outcome.tokens, outcome.truncated, request.dimensions);
    const failures = new Map(outcome.failures?.map((failure) => [failure.index!, fromNative(failure)]));
    return { ...result, failures };
  }

  /** The text behind the prefix of its task. @internal */
  prompted(text: string, { task }: Pick<EmbedOptions, "task">): string {
    return task === undefined || typeof text !== "string" ? text : promptFor(this.#entry.info, this.#name, task) + text;
  }

  #request(options: EmbedOptions): JobRequest {
    this.#refuseIfDisposed();
    const { dimensions: most } = this.#entry.info;
    const dimensions = options.dimensions ?? most;
    if (dimensions > most) {
      throw new InlayError(
        "ERR_INPUT_INVALID",
        `dimensions: expected 1 to ${most}, the model's own, received ${dimensions}.`,
      );
    }
    let flags = 0;
    if (options.truncate ?? true) flags |= FLAG.truncate;
    if (options.normalize ?? true) flags |= FLAG.normalize;
    if (options.parseSpecial) flags |= FLAG.parseSpecial;
    if (options.priority === "bulk") flags |= FLAG.bulk;
    return {
      model: this.#entry.native,
      flags,
      dimensions,
      limit: this.#limit,
      threads: this.#threads,
      signal: options.signal,
      begin: () => this.#entry.begin(),
    };
  }

  async #tokenizeAll(texts: readonly string[], options: TokenizeOptions): Promise<Int32Array[]> {
    this.#refuseIfDisposed();
    if (texts.length === 0) return [];
    let flags: number = FLAG.tokenize;
    if (options.addSpecial ?? true) flags |= FLAG.addSpecial;
    if (options.parseSpecial) flags |= FLAG.parseSpecial;
    const request = {
      model: this.#entry.native,
      flags,
      dimensions: 0,
      limit: 0,
      threads: this.#threads,
      begin: () => this.#entry.begin(),
    };
    return (await runJob(texts, request)).ids;
  }

  async #result(rows: Float32Array, tokens: Int32Array, truncated: number[], dimensions: number): Promise<EmbedResult> {
    const turns = new Turns();
    const embeddings: Float32Array[] = [];
    for (let i = 0; i < tokens.length; i++) {
      embeddings.push(rows.subarray(i * dimensions, (i + 1) * dimensions));
      if (turns.over(1024)) await turns.next();
    }
    return { embeddings, tokens, truncated, fingerprint: this.#entry.info.fingerprint };
  }

  #nothing(): EmbedResult {
    return { embeddings: [], tokens: new Int32Array(0), truncated: [], fingerprint: this.#entry.info.fingerprint };
  }

  async #observe<T extends { tokens: Int32Array }>(texts: number, run: () => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      const outcome = await run();
      publish("job", () => ({
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": this.#name,
        "gen_ai.usage.input_tokens": outcome.tokens.reduce((sum, count) => sum + count, 0),
        texts,
        duration: (performance.now() - began) / 1000,
      }));
      return outcome;
    } catch (error) {
      publish("error", () => ({
        "error.type": (error as InlayError).code ?? (error as Error).name,
        model: this.#name,
      }));
      throw error;
    }
  }

  async #release(): Promise<void> {
    // Work that this handle began finishes first: the entry goes only when no handle is left.
    this.#entry.release();
  }

  #refuseIfDisposed(): void {
    if (this.#disposing || this.#entry.closed) throw disposed([this.#name]);
  }
}

/** A default that a model's source wrote, where it can be meant. */
function positive(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) > 0 ? (value as number) : undefined;
}

/** The caller's array as it is now. */
function snapshot(input: string | readonly string[]): readonly string[] {
  if (typeof input === "string") return [input];
  if (!Array.isArray(input)) {
    throw new InlayError(
      "ERR_INPUT_INVALID",
      `input must be a string or an array of strings, it is ${input === null ? "null" : typeof input}.`,
    );
  }
  try {
    return Array.from(input);
  } catch (cause) {
    throw new InlayError("ERR_INPUT_INVALID", "input could not be read.", { cause });
  }
}

function checkIds(list: ArrayLike<number>, index: number): Int32Array {
  if (typeof list !== "object" || list === null || typeof list.length !== "number") throw notAText(list, index);
  const ids = new Int32Array(list.length);
  for (let i = 0; i < ids.length; i++) {
    const id = list[i]!;
    if (!Number.isInteger(id) || id < 0 || id > 0x7fffffff) {
      throw new InlayError("ERR_INPUT_INVALID", `Input ${index} must hold token ids, it holds ${String(id)}.`, {
        index,
      });
    }
    ids[i] = id;
  }
  return ids;
}
