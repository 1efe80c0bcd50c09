import { setTimeout as delay } from "node:timers/promises";
import { InlayError } from "./errors.ts";
import type { ModelHandle, PartialResult } from "./model.ts";
import type { EmbeddedText, EmbedManyOptions, IdentifiedText } from "./types.ts";

/** What one native call takes: enough to fill several micro-batches, little enough to bound memory. */
const BATCH_TEXTS = 256;
const BATCH_UNITS = 1 << 17;
/** Batches on their way at once: one runs, one is being tokenised, one is being read. */
const WINDOW = 3;
/** A source that stalls gets what it has given so far embedded after this many milliseconds. */
const PATIENCE = 5;

interface Batch {
  first: number;
  items: IdentifiedText[];
  hasIds: boolean;
}

/** Embeds a source of any length in order; at most WINDOW batches of texts and vectors are in memory. @internal */
export async function* embedStream(
  model: ModelHandle,
  source: Iterable<string | IdentifiedText> | AsyncIterable<string | IdentifiedText>,
  options: EmbedManyOptions,
): AsyncGenerator<EmbeddedText, void, undefined> {
  const { onError = "throw", onProgress, startIndex = 0, ...embedOptions } = options;
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const began = performance.now();
  let texts = 0;
  let tokens = 0;
  const underWay: Promise<[Batch, PartialResult]>[] = [];
  const start = (batch: Batch) => {
    const run = model.embedPartially(
      batch.items.map(({ text }) => text),
      { priority: "bulk", ...embedOptions, signal },
      onError === "yield",
    );
    const pair = run.then((result): [Batch, PartialResult] => [batch, result]);
    pair.catch(() => {}); // awaited in order below; a later batch may fail first
    underWay.push(pair);
  };
  const batches = batchesOf(source, startIndex, signal);
  let reading: Promise<IteratorResult<Batch, void>> | undefined = batches.next();
  reading.catch(() => {});
  try {
    while (reading || underWay.length > 0) {
      const oldest = underWay[0];
      // While there is room, whichever comes first: another batch to start, or the oldest one's vectors.
      if (reading && underWay.length < WINDOW && !(await settlesFirst(oldest, reading))) {
        const { value, done }: IteratorResult<Batch, void> = await reading;
        reading = done ? undefined : batches.next();
        reading?.catch(() => {});
        if (!done) start(value);
        continue;
      }
      if (!oldest) continue;
      const [batch, result] = await oldest;
      underWay.shift();
      for (const item of results(batch, result)) {
        texts++;
        tokens += item.tokens;
        yield item;
      }
      const seconds = (performance.now() - began) / 1000;
      onProgress?.({ texts, tokens, textsPerSecond: texts / seconds, tokensPerSecond: tokens / seconds });
    }
  } finally {
    stop.abort(new InlayError("ERR_ABORTED", "The iteration ended early."));
    // The source ends with the reader; one that hangs in a read is left to itself.
    const ended = batches.return(undefined).catch(() => {});
    await Promise.race([ended, delay(10 * PATIENCE)]);
  }
}

async function settlesFirst(one: Promise<unknown> | undefined, other: Promise<unknown>): Promise<boolean> {
  if (!one) return false;
  const settled = (promise: Promise<unknown>, first: boolean) =>
    promise.then(
      () => first,
      () => first,
    );
  return Promise.race([settled(one, true), settled(other, false)]);
}

function* results({ first, items, hasIds }: Batch, result: PartialResult): Generator<EmbeddedText> {
  const truncated = new Set(result.truncated);
  for (const [i, { id }] of items.entries()) {
    const error = result.failures.get(i);
    if (error) Object.defineProperty(error, "index", { value: first + i, enumerable: true });
    yield {
      index: first + i,
      ...(hasIds && { id }),
      embedding: error ? new Float32Array(0) : result.embeddings[i]!.slice(),
      tokens: result.tokens[i]!,
      truncated: truncated.has(i),
      ...(error && { error }),
    };
  }
}

async function* batchesOf(
  source: Iterable<string | IdentifiedText> | AsyncIterable<string | IdentifiedText>,
  startIndex: number,
  signal: AbortSignal,
): AsyncGenerator<Batch, void, undefined> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let index = 0;
  let batch: Batch = { first: startIndex, items: [], hasIds: false };
  let units = 0;
  let ended = false;
  const flush = () => {
    const full = batch;
    batch = { first: index, items: [], hasIds: false };
    units = 0;
    return full;
  };
  try {
    for (;;) {
      signal.throwIfAborted();
      let step = iterator.next();
      if (step instanceof Promise && batch.items.length > 0) {
        const pending = step;
        const early = await Promise.race([pending, delay(PATIENCE, undefined)]);
        if (early === undefined) yield flush();
        step = pending;
      }
      const { value, done } = await step;
      if (done) {
        ended = true;
        break;
      }
      if (index++ < startIndex) continue;
      const item = identified(value, index - 1);
      batch.hasIds ||= typeof value === "object";
      batch.items.push(item);
      units += item.text.length;
      if (batch.items.length >= BATCH_TEXTS || units >= BATCH_UNITS) yield flush();
    }
    if (batch.items.length > 0) yield flush();
  } finally {
    if (!ended) await iterator.return?.();
  }
}

function identified(value: string | IdentifiedText, index: number): IdentifiedText {
  if (typeof value === "string") return { id: index, text: value };
  if (typeof value === "object" && value !== null && typeof value.text === "string") return value;
  throw new InlayError("ERR_INPUT_INVALID", `Text ${index} must be a string or { id, text }.`, { index });
}
