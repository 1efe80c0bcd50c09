import { InlayError } from "./errors.ts";
import { CANCEL, FLAG, guarded, type NativeHandle, type NativeResult, native, toInlayError } from "./native.ts";
import { Turns, takeTurn } from "./turns.ts";
import { notAText } from "./validate.ts";

/** UTF-16 units that are handed to the addon at once: some 100 microseconds of conversion. */
const HAND_OVER_UNITS = 1 << 16;
const HAND_OVER_TEXTS = 256;
/** Longest text, in UTF-16 units. Its tokens would fill a context many hundred times over. */
const LONGEST_TEXT = 1 << 26;

/** How one job runs; every number is bounded already. @internal */
export interface JobRequest {
  model: NativeHandle;
  flags: number;
  dimensions: number;
  limit: number;
  threads: number;
  signal?: AbortSignal;
  /** Tells the model's owner that a call begins. */
  begin(): Call;
}

/** One call's claim on its model. @internal */
export interface Call {
  /** Throws where the model is being unloaded. */
  proceed(): void;
  /** The call has become this job. */
  watch(job: NativeHandle): void;
  end(): void;
}

/** @internal */
export interface JobOutcome extends NativeResult {
  rows: Float32Array;
  tokens: Int32Array;
}

/** Hands texts to the native queue without holding the event loop, and waits for the job to settle. @internal */
export async function runJob(texts: readonly string[], request: JobRequest): Promise<JobOutcome> {
  const call = request.begin();
  try {
    const turns = new Turns();
    const units = await countUnits(texts, turns);
    return await settle(texts.length, units, request, call, (job) => handOver(job, texts, turns, request.signal));
  } finally {
    call.end();
  }
}

/** The same for token ids. @internal */
export async function runTokenJob(ids: Int32Array[], request: JobRequest): Promise<JobOutcome> {
  const call = request.begin();
  try {
    return await settle(ids.length, 0, request, call, async (job) => native().appendTokens(job, ids));
  } finally {
    call.end();
  }
}

async function settle(
  count: number,
  units: number,
  request: JobRequest,
  call: Call,
  append: (job: NativeHandle) => Promise<void>,
): Promise<JobOutcome> {
  const { model, flags, dimensions, limit, threads, signal } = request;
  signal?.throwIfAborted();
  await takeTurn();
  signal?.throwIfAborted();
  call.proceed();
  const embeds = (flags & FLAG.tokenize) === 0;
  const rows = allocate(embeds ? count * dimensions : 0);
  const tokens = new Int32Array(count);
  const stack = new Error();
  const { job, promise } = guarded(() =>
    native().createJob(model, flags, count, units, dimensions, limit, threads, embeds ? rows : null, tokens),
  );
  call.watch(job);
  const abort = () => native().cancelJob(job, CANCEL.aborted, "aborted");
  signal?.addEventListener("abort", abort, { once: true });
  try {
    // The job may settle (an abort, a text that is too long) before every text is handed over.
    const [result] = await Promise.all([promise, append(job)]);
    return { ...result, rows, tokens };
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    native().cancelJob(job, CANCEL.aborted, "another part of the call failed");
    await promise.catch(() => {});
    throw withCallersStack(toInlayError(error), stack);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function allocate(length: number): Float32Array {
  try {
    return new Float32Array(length);
  } catch (cause) {
    throw new InlayError(
      "ERR_OUT_OF_MEMORY",
      `There is no memory for ${length} floats of result; embed fewer texts at once, or use embedMany.`,
      { cause },
    );
  }
}

/** Checks every text and sums the lengths. */
async function countUnits(texts: readonly string[], turns: Turns): Promise<number> {
  let units = 0;
  for (let i = 0; i < texts.length; i++) {
    const text: unknown = texts[i];
    if (typeof text !== "string") throw notAText(text, i);
    if (text.length > LONGEST_TEXT) {
      throw new InlayError(
        "ERR_INPUT_INVALID",
        `Input ${i} has ${text.length} UTF-16 units, the most is ${LONGEST_TEXT}; cut it into pieces.`,
        { index: i },
      );
    }
    units += text.length;
    if (turns.over(4096)) await turns.next();
  }
  return units;
}

async function handOver(
  job: NativeHandle,
  texts: readonly string[],
  turns: Turns,
  signal?: AbortSignal,
): Promise<void> {
  const addon = native();
  let from = 0;
  while (from < texts.length) {
    if (signal?.aborted) return;
    if (texts[from]!.length > HAND_OVER_UNITS) {
      await handOverLong(job, texts[from]!, turns, signal);
      from++;
      continue;
    }
    let to = from;
    let units = 0;
    while (to < texts.length && to - from < HAND_OVER_TEXTS && units + texts[to]!.length <= HAND_OVER_UNITS)
      units += texts[to++]!.length;
    addon.appendTexts(job, texts, from, to, false);
    from = to;
    if (from < texts.length && turns.over(1)) await turns.next();
  }
}

async function handOverLong(job: NativeHandle, text: string, turns: Turns, signal?: AbortSignal): Promise<void> {
  for (let from = 0; from < text.length; ) {
    if (signal?.aborted) return;
    let to = Math.min(text.length, from + HAND_OVER_UNITS);
    const last = text.charCodeAt(to - 1);
    if (to < text.length && last >= 0xd800 && last <= 0xdbff) to--; // a pair of surrogates stays together
    native().appendTexts(job, [text.slice(from, to)], 0, 1, to < text.length);
    from = to;
    if (turns.over(1)) await turns.next();
  }
}

/** An error from another thread has no stack of its own worth reading; the call's says where it came from. */
function withCallersStack(error: Error, call: Error): Error {
  if (error instanceof InlayError && call.stack) {
    error.stack = `${error.name}: ${error.message}\n${call.stack.split("\n").slice(1).join("\n")}`;
  }
  return error;
}
