import { ModelHandle } from "./model.ts";
import { acquire, defaultKeepAlive } from "./runtime.ts";
import type { EmbedRequest, EmbedResponse } from "./types.ts";
import { checkEmbedRequest, toMilliseconds } from "./validate.ts";

/**
 * Embeds texts, loading the model where it is not loaded: the request and the answer of Ollama's `POST /api/embed`,
 * in the process.
 *
 * @throws InlayError `ERR_INPUT_INVALID`, `ERR_INPUT_TOO_LONG` (with `truncate: false`), `ERR_QUEUE_FULL`, and what
 *   {@link loadModel} throws; `signal.reason` when aborted
 */
export async function embed(request: EmbedRequest, { signal }: { signal?: AbortSignal } = {}): Promise<EmbedResponse> {
  checkEmbedRequest(request);
  const began = process.hrtime.bigint();
  const { model: name, input, truncate, dimensions, keep_alive, options = {} } = request;
  const entry = await acquire(name, {
    signal,
    threads: options.num_thread,
    mmap: options.use_mmap ?? false,
    gpuLayers: options.num_gpu,
    device: options.main_gpu ? `cuda:${options.main_gpu}` : "auto",
  });
  const loaded = process.hrtime.bigint();
  if (keep_alive !== undefined) entry.keepAliveFor(toMilliseconds(keep_alive));
  else entry.keepAliveByDefault(defaultKeepAlive());
  const model = new ModelHandle(entry, name, { contextLength: options.num_ctx, threads: options.num_thread });
  try {
    const { embeddings, tokens, truncated, fingerprint } = await model.embed(input, { truncate, dimensions, signal });
    return {
      model: name,
      embeddings,
      total_duration: Number(process.hrtime.bigint() - began),
      load_duration: Number(loaded - began),
      prompt_eval_count: tokens.reduce((sum, count) => sum + count, 0),
      truncated,
      fingerprint,
    };
  } finally {
    await model.dispose();
  }
}
