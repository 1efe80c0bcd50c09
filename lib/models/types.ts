import type { ModelOptions } from "../types.ts";

/** Where model files come from; an alias only points at one of the others. */
export type ModelSource = "builtin" | "path" | "ollama" | "huggingface" | "https" | "alias";

/** Where a model's file is, and what its source says of it. */
export interface ResolvedModel {
  /** The name as asked. */
  name: string;
  /** Absolute path of the GGUF. */
  path: string;
  /** Where the file lies. An alias gives the source of what it points at. */
  source: ModelSource;
  /** Lower-case hex, where the source vouches for the content (an Ollama digest, an LFS object id). */
  sha256?: string;
  /** Options that the source attaches to the model (Ollama's params layer); a request's own win. */
  defaults?: ModelOptions;
}

export interface ResolveOptions {
  signal?: AbortSignal;
  /** `false` refuses names that are paths or URLs, for names that come from outside. Default `true`. */
  allowPaths?: boolean;
}

/** A model on this machine, as `inlay list` shows it. */
export interface LocalModel {
  /** A name that {@link ResolvedModel.name} can be asked by. */
  name: string;
  source: ModelSource;
  path: string;
  bytes: number;
  /** What the file's header says; absent where it cannot be read. */
  architecture?: string;
  quantization?: string;
  dimensions?: number;
  contextLength?: number;
  modified: Date;
  /** When this package last resolved the name. */
  lastUsed?: Date;
  sha256?: string;
  /** Why the model cannot be loaded as it stands. */
  problem?: string;
}

/** One place where names are looked up, for `inlay doctor`. */
export interface SearchedPlace {
  source: ModelSource;
  path: string;
  state: "found" | "missing" | "unreadable";
  /** Models there. */
  models: number;
  /** What sets this place, or what is wrong with it. */
  detail?: string;
}

export interface PullProgress {
  /** The file's path in its repository, or its URL. */
  file: string;
  phase: "download" | "verify";
  /** Bytes, those of earlier attempts included. */
  completed: number;
  total: number;
}

export interface PullOptions {
  signal?: AbortSignal;
  onProgress?(progress: PullProgress): void;
  /** Address of the hub or a mirror; default `HF_ENDPOINT`, else the Hugging Face hub. */
  endpoint?: string;
  /** Default `HF_TOKEN`, else the file that Hugging Face's tools keep. Goes to the endpoint alone. */
  token?: string;
  /** Fetch again what is here already. */
  force?: boolean;
}

export interface VerifiedModel {
  name: string;
  path: string;
  /** Of the file as it is. */
  sha256: string;
  /** What the source says it should be. */
  expected?: string;
  /** `unvouched`: the source says nothing. */
  state: "right" | "wrong" | "unvouched";
}

export interface RemovedModel {
  name: string;
  /** Files and links that are gone. */
  paths: string[];
  /** Bytes that this freed. */
  bytes: number;
}
