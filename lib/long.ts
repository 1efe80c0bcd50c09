import type { ModelHandle } from "./model.ts";
import type { EmbedOptions, EmbedResult } from "./types.ts";

/**
 * Embeds texts of any length: one beyond the context is cut into pieces of `room` tokens, and its vector is the mean
 * of theirs, weighted by their tokens. @internal
 */
export async function embedLong(
  model: ModelHandle,
  texts: readonly string[],
  options: EmbedOptions,
  room: number,
): Promise<EmbedResult> {
  const { pooledLong: _, task: __, ...rest } = options;
  const whole = await model.embedPartially(texts, { ...options, truncate: false }, true);
  const long = [...whole.failures].filter(([, error]) => error.code === "ERR_INPUT_TOO_LONG").map(([index]) => index);
  const other = [...whole.failures.values()].find((error) => error.code !== "ERR_INPUT_TOO_LONG");
  if (other) throw other;
  for (const index of long) {
    const ids = await model.tokenize(model.prompted(texts[index]!, options), {
      addSpecial: false,
      parseSpecial: options.parseSpecial,
    });
    const pieces: Int32Array[] = [];
    for (let from = 0; from < ids.length; from += room) pieces.push(ids.subarray(from, from + room));
    const parts = await model.embedTokens(pieces, { ...rest, normalize: true });
    meanInto(
      whole.embeddings[index]!,
      parts.embeddings,
      pieces.map(({ length }) => length),
      options.normalize ?? true,
    );
    whole.tokens[index] = parts.tokens.reduce((sum, count) => sum + count, 0);
  }
  const { embeddings, tokens, fingerprint } = whole;
  return { embeddings, tokens, truncated: [], fingerprint };
}

function meanInto(
  row: Float32Array,
  vectors: readonly Float32Array[],
  weights: readonly number[],
  normalize: boolean,
): void {
  const sum = new Float64Array(row.length);
  for (const [i, vector] of vectors.entries()) {
    for (let d = 0; d < row.length; d++) sum[d]! += vector[d]! * weights[i]!;
  }
  const total = weights.reduce((a, b) => a + b, 0);
  const scale = normalize ? 1 / Math.hypot(...sum) : 1 / total;
  for (let d = 0; d < row.length; d++) row[d] = sum[d]! * scale;
}
