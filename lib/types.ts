import type { ErrorCode } from "./errors.ts";

/** Ollama's options. Those below act; any other is accepted and ignored, as Ollama does. */
export interface ModelOptions {
  /** Context length in tokens, specials included; at most the model's own counts. */
  num_ctx?: number;
  /** Threads for this model's passes; 0 means the default. */
  num_thread?: number;
  /** Tokens in a micro-batch; a hint. */
  num_batch?: number;
  /** Layers on the GPU: 0 none, -1 all. */
  num_gpu?: number;
  main_gpu?: number;
  use_mmap?: boolean;
  [option: string]: unknown;
}

/** The published request of Ollama's `POST /api/embed`. */
export interface EmbedRequest {
  /** A name that `inlay show` understands: a path, `builtin`, an Ollama name, `hf:owner/repo`, … */
  model: string;
  input: string | readonly string[];
  /** Cut texts that exceed the context (default). `false`: `ERR_INPUT_TOO_LONG` instead. */
  truncate?: boolean;
  /** Keep the first n dimensions and normalise again; 1 to the model's own. */
  dimensions?: number;
  /** How long the model stays loaded after this request: `"5m"`, `"1.5h"`, seconds, 0 (not at all), negative (for ever). */
  keep_alive?: string | number;
  options?: ModelOptions;
}

export interface EmbedResponse {
  /** The model's name as asked. */
  model: string;
  /** One vector per input, norm 1, all views on one `ArrayBuffer`. */
  embeddings: Float32Array[];
  /** Nanoseconds from the call to the answer. */
  total_duration: number;
  /** Nanoseconds of it that loading the model took. */
  load_duration: number;
  /** Tokens that were embedded, specials included, after truncation. */
  prompt_eval_count: number;
  /** Indexes of the texts that were cut. */
  truncated: number[];
  /** What produced these vectors: equal fingerprints give equal bits for equal texts. */
  fingerprint: string;
}

export interface LoadOptions {
  /** `auto` takes the fused engine wherever it serves the model on the CPU. */
  engine?: "auto" | "fused" | "ggml";
  /**
   * What the fused engine multiplies: `f32` floats; `bf16` bfloat16, on CPUs that have fast products of it; `int8` bytes
   * with a scale for each row and each column, several times as fast as floats where the CPU has instructions for
   * them, at a cosine of about 0.99. `auto`: bf16 where it is fast, else f32.
   */
  precision?: "auto" | "f32" | "bf16" | "int8";
  device?: "auto" | "cpu" | "cuda" | `cuda:${number}` | "metal";
  /** Threads that may run passes of this model; default: the cores this process may really use. */
  threads?: number;
  /** Tokens per text at most, specials included; never above the model's own. */
  contextLength?: number;
  /** Overrides the pooling that the file names. */
  pooling?: "mean" | "cls" | "last";
  /** `exact`: the model's own tokenizer, where one is built in. `llama`: llama.cpp's. */
  tokenizer?: "exact" | "llama";
  /** Map the weights instead of reading them. Overwriting or truncating the file then changes vectors or ends the process. */
  mmap?: boolean;
  /** `untrusted`: everything about the file is checked in a child process first. */
  trust?: "trusted" | "untrusted";
  /** How long the model stays loaded once no handle and no work needs it; as in {@link EmbedRequest.keep_alive}. */
  keepAlive?: string | number;
  signal?: AbortSignal;
  /** Called with 0 to 1 while the model loads. */
  onProgress?(fraction: number): void;
}

export interface EmbedOptions {
  /** Cut texts that exceed the context (default). `false`: `ERR_INPUT_TOO_LONG` instead. */
  truncate?: boolean;
  /** Keep the first n dimensions and normalise again; 1 to the model's own. */
  dimensions?: number;
  /** Scale vectors to norm 1 (default). */
  normalize?: boolean;
  /** Prefix that the model's authors ask for: `"query"`, `"document"` or a name that `inlay show` lists. */
  task?: string;
  /** Let literal text such as `[SEP]` become that token. */
  parseSpecial?: boolean;
  /** `interactive` (default) goes ahead of `bulk`. */
  priority?: "interactive" | "bulk";
  /** For texts beyond the context: mean of the vectors of their pieces instead of cutting. */
  pooledLong?: "mean";
  signal?: AbortSignal;
}

export interface EmbedResult {
  /** One vector per text, all views on one `ArrayBuffer`. */
  embeddings: Float32Array[];
  /** Tokens of each text, specials included, after truncation. */
  tokens: Int32Array;
  /** Indexes of the texts that were cut. */
  truncated: number[];
  fingerprint: string;
}

export interface TokenizeOptions {
  /** Put the model's special tokens around the text (default). */
  addSpecial?: boolean;
  parseSpecial?: boolean;
}

export interface ModelInfo {
  /** The name the model was loaded by. */
  name: string;
  /** What the file calls itself (`general.name`); empty where it does not. */
  title: string;
  /** Of the file, where its source vouches for it or it was computed. */
  sha256?: string;
  architecture: string;
  engine: "fused" | "ggml";
  dimensions: number;
  /** Tokens per text, specials included. */
  contextLength: number;
  vocabulary: number;
  parameters: number;
  pooling: "mean" | "cls" | "last";
  device: string;
  precision: string;
  isa: string;
  tokenizer: "exact" | "llama";
  threads: number;
  fingerprint: string;
  /** Bytes held. */
  memory: { weights: number; workspaces: number };
  /** Sentences about what was mended while reading the file. */
  healed: string[];
}

/** A text with the caller's own key, for {@link EmbeddingModel.embedMany}. */
export interface IdentifiedText {
  id: string | number;
  text: string;
}

export interface EmbeddedText {
  index: number;
  id?: string | number;
  embedding: Float32Array;
  tokens: number;
  truncated: boolean;
  /** With `onError: "yield"`: why this text has no vector (`embedding` is then empty). */
  error?: Error & { code?: ErrorCode };
}

export interface EmbedManyProgress {
  texts: number;
  tokens: number;
  /** Per second since the start. */
  textsPerSecond: number;
  tokensPerSecond: number;
}

export interface EmbedManyOptions extends Omit<EmbedOptions, "pooledLong"> {
  /** A text that fails ends the iteration (default) or is yielded with its `error`. */
  onError?: "throw" | "yield";
  onProgress?(progress: EmbedManyProgress): void;
  /** Skip this many texts of the source; the indexes go on counting from there. */
  startIndex?: number;
}

export interface ChunkOptions {
  /** Tokens of a chunk at most, specials included; default: the model's context. */
  maxTokens?: number;
  /** Tokens that a chunk repeats of the end of the one before, at most; default 0, below `maxTokens`. */
  overlap?: number;
}

/** A piece of a document: `document.slice(start, end) === text`. */
export interface Chunk {
  text: string;
  /** Offset of its first UTF-16 unit. */
  start: number;
  /** Offset behind its last. */
  end: number;
  /** As the model counts them, specials included. */
  tokens: number;
}

/** A loaded model. Shared: loading the same file twice gives handles on one copy. */
export interface EmbeddingModel extends AsyncDisposable {
  readonly info: ModelInfo;
  /** Embeds texts; off the JavaScript thread from tokenising on. */
  embed(input: string | readonly string[], options?: EmbedOptions): Promise<EmbedResult>;
  /** The same for texts that are tokenised already; the model's special tokens are put around each. */
  embedTokens(input: readonly ArrayLike<number>[], options?: EmbedOptions): Promise<EmbedResult>;
  /** Embeds a stream of any length in bounded memory, in order. */
  embedMany(
    source: Iterable<string | IdentifiedText> | AsyncIterable<string | IdentifiedText>,
    options?: EmbedManyOptions,
  ): AsyncIterable<EmbeddedText>;
  /** Token ids as the model sees them. */
  tokenize(text: string, options?: TokenizeOptions): Promise<Int32Array>;
  countTokens(input: string): Promise<number>;
  countTokens(input: readonly string[]): Promise<number[]>;
  /** Cuts a document into chunks that fit, at the ends of sentences where possible, else between words. */
  chunk(text: string, options?: ChunkOptions): Promise<Chunk[]>;
  /** Gives this handle back. Running work finishes, later calls get `ERR_DISPOSED`. */
  dispose(): Promise<void>;
}

/** A model in memory, as {@link models} lists it. */
export interface LoadedModel {
  /** The names it was loaded by. */
  names: string[];
  info: ModelInfo;
  /** Absolute path of its file. */
  path: string;
  sizeBytes: number;
  /** Handles that are open. */
  handles: number;
  /** When it will be unloaded if nothing uses it (milliseconds since the epoch); `null`: never; `undefined`: in use. */
  expiresAt: number | null | undefined;
}

/** Counters since the process began, and the queue as it is; see {@link runtime}. Reading them wakes nothing. */
export interface RuntimeStats {
  threads: number;
  queue: {
    jobs: number;
    texts: number;
    tokens: number;
    bytes: number;
    /** Past these, `ERR_QUEUE_FULL`. */
    maxTokens: number;
    maxBytes: number;
  };
  totals: {
    jobs: number;
    texts: number;
    tokens: number;
    microBatches: number;
    /** Texts answered with the vector of an identical text in the queue. */
    deduplicated: number;
    /** Jobs that ended early because their caller gave up; those that failed, each counted once. */
    aborted: number;
    failed: number;
    loads: number;
    unloads: number;
    evictions: number;
  };
  /** Over the last few seconds of work. */
  tokensPerSecond: number;
  memory: { models: number; workspaces: number; budget: number };
}
