import type { EmbeddingModel, EmbedResult } from "../types.ts";
import { parseKeepAlive } from "./duration.ts";
import { HttpError } from "./errors.ts";
import { loadOptions } from "./model-options.ts";
import type { ServedModels } from "./models.ts";
import type { Limits } from "./options.ts";
import type { Admission, Work } from "./work.ts";

/** From this many texts on a request waits behind those with fewer. */
const BULK = 32;

/** What the dialects share: the models, and the bounds on what may be asked of them. */
export interface Context {
  models: ServedModels;
  admission: Admission;
  limits: Limits;
}

/** Fields that several requests have in common, as decoded. */
export interface ModelRequest {
  model: string;
  keepAlive?: unknown;
  options?: unknown;
}

export interface Embedded {
  embeddings: Float32Array[];
  tokens: number;
  truncated: number[];
  fingerprint: string;
  /** Nanoseconds. */
  loadDuration: number;
  totalDuration: number;
}

/** Loads the model, lets `use` work with it, and gives the handle back whatever happens. */
export async function withModel<Result>(
  context: Context,
  work: Work,
  request: ModelRequest,
  use: (model: EmbeddingModel, loadDuration: number) => Promise<Result>,
): Promise<Result> {
  const keepAlive = parseKeepAlive(request.keepAlive);
  work.model = request.model;
  const { target, defaults } = await context.models.locate(request.model, work.signal);
  const load = { ...loadOptions(defaults), ...loadOptions((request.options as Record<string, unknown>) ?? {}) };
  // Without the request's signal: others may be waiting for the same load.
  const model = await context.models.load(target, load, keepAlive);
  try {
    work.signal.throwIfAborted();
    return await use(model, work.elapsed());
  } finally {
    await model.dispose();
  }
}

/** Embeds texts, or lists of token ids, for one request. */
export async function embedAll(
  context: Context,
  work: Work,
  model: EmbeddingModel,
  input: readonly string[] | readonly number[][],
  options: { truncate?: boolean; dimensions?: number },
): Promise<Omit<Embedded, "loadDuration">> {
  const native = model.info.dimensions;
  const { dimensions: asked = 0 } = options;
  const dimensions = asked > 0 && asked < native ? asked : undefined;
  context.admission.take(work, input.length * (dimensions ?? native) * Float32Array.BYTES_PER_ELEMENT);
  work.texts = input.length;
  work.waited = performance.now() - work.started;
  const embedOptions = {
    truncate: options.truncate ?? true,
    dimensions,
    priority: input.length >= BULK ? ("bulk" as const) : ("interactive" as const),
    signal: work.signal,
  };
  const result = isTokens(input)
    ? await model.embedTokens(input, embedOptions)
    : await model.embed(input, embedOptions);
  work.tokens = sum(result);
  return {
    embeddings: result.embeddings,
    tokens: work.tokens,
    truncated: result.truncated,
    fingerprint: result.fingerprint,
    totalDuration: work.elapsed(),
  };
}

/** The texts of a request's `input`, counted and measured before anything looks into them. */
export function textsOf(input: unknown, limits: Limits): string[] {
  if (input === undefined || input === null) return [];
  const texts = typeof input === "string" ? [input] : input;
  if (!Array.isArray(texts)) throw new HttpError(400, "invalid input type");
  checkCount(texts.length, limits);
  for (let index = 0; index < texts.length; index++) {
    const text = texts[index];
    if (typeof text !== "string") throw new HttpError(400, "invalid input type");
    if (text.length > limits.inputChars) {
      throw new HttpError(
        413,
        `input ${index} has ${text.length} characters; at most ${limits.inputChars} are accepted`,
      );
    }
  }
  return texts;
}

export function checkCount(count: number, limits: Limits): void {
  if (count > limits.inputs)
    throw new HttpError(413, `${count} inputs in one request; at most ${limits.inputs} are accepted`);
}

function isTokens(input: readonly string[] | readonly number[][]): input is readonly number[][] {
  return typeof input[0] === "object";
}

function sum({ tokens }: EmbedResult): number {
  let total = 0;
  for (const count of tokens) total += count;
  return total;
}
