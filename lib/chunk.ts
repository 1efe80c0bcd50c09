import { InlayError } from "./errors.ts";
import type { Chunk, ChunkOptions } from "./types.ts";

interface Span {
  start: number;
  end: number;
  tokens: number;
}

/** Counts the tokens of texts, without specials. */
type Count = (texts: readonly string[]) => Promise<number[]>;

/**
 * Cuts a document into chunks of at most `maxTokens`, greedily: whole sentences while they fit, a sentence that does
 * not fit at its words, a word that does not fit between its characters. @internal
 */
export async function chunkText(
  document: string,
  { maxTokens, overlap = 0 }: ChunkOptions,
  { context, specials, count }: { context: number; specials: number; count: Count },
): Promise<Chunk[]> {
  const most = Math.min(maxTokens ?? context, context) - specials;
  check(most, overlap, specials);
  const pieces = await fittingPieces(document, most, count);
  const chunks: Chunk[] = [];
  for (let first = 0; first < pieces.length; ) {
    const chunk = await longestChunk(document, pieces, first, most, count);
    const { start, end, tokens, next } = chunk;
    chunks.push({ text: document.slice(start, end), start, end, tokens: tokens + specials });
    first = next < pieces.length ? stepBack(pieces, first, next, overlap) : next;
  }
  return chunks;
}

function check(most: number, overlap: number, specials: number): void {
  if (!Number.isInteger(most) || most < 1) {
    throw new InlayError(
      "ERR_INPUT_INVALID",
      `maxTokens: expected a whole number above the model's ${specials} special tokens.`,
    );
  }
  if (!Number.isInteger(overlap) || overlap < 0 || overlap >= most) {
    throw new InlayError(
      "ERR_INPUT_INVALID",
      `overlap: expected a whole number from 0 to ${most - 1}, received ${overlap}.`,
    );
  }
}

/** The document as consecutive spans, each small enough for a chunk of its own. */
async function fittingPieces(document: string, most: number, count: Count): Promise<Span[]> {
  const pieces: Span[] = [];
  for (const sentence of await measured(document, split(document, 0, "sentence"), count)) {
    if (sentence.tokens <= most) pieces.push(sentence);
    else pieces.push(...(await fittingWords(document, sentence, most, count)));
  }
  return pieces;
}

async function fittingWords(document: string, sentence: Span, most: number, count: Count): Promise<Span[]> {
  const text = document.slice(sentence.start, sentence.end);
  const pieces: Span[] = [];
  for (const word of await measured(document, split(text, sentence.start, "word"), count)) {
    if (word.tokens <= most) pieces.push(word);
    else pieces.push(...(await halves(document, word, most, count)));
  }
  return pieces;
}

async function halves(document: string, word: Span, most: number, count: Count): Promise<Span[]> {
  const parts = split(document.slice(word.start, word.end), word.start, "grapheme");
  if (parts.length < 2) return [word]; // one character of many tokens: it is truncated when it is embedded
  const middle = parts[parts.length >> 1]!.start;
  const cut = [
    { start: word.start, end: middle },
    { start: middle, end: word.end },
  ];
  const pieces: Span[] = [];
  for (const half of await measured(document, cut, count)) {
    if (half.tokens <= most) pieces.push(half);
    else pieces.push(...(await halves(document, half, most, count)));
  }
  return pieces;
}

function split(
  text: string,
  offset: number,
  granularity: "sentence" | "word" | "grapheme",
): { start: number; end: number }[] {
  const segments = new Intl.Segmenter(undefined, { granularity }).segment(text);
  return Array.from(segments, ({ index, segment }) => ({
    start: offset + index,
    end: offset + index + segment.length,
  }));
}

async function measured(
  document: string,
  spans: readonly { start: number; end: number }[],
  count: Count,
): Promise<Span[]> {
  if (spans.length === 0) return [];
  const counts = await count(spans.map(({ start, end }) => document.slice(start, end)));
  return spans.map((span, i) => ({ ...span, tokens: counts[i]! }));
}

/** From piece `first` on, as many as fit: by the sum of their tokens, then by the count of the text itself. */
async function longestChunk(
  document: string,
  pieces: readonly Span[],
  first: number,
  most: number,
  count: Count,
): Promise<{ start: number; end: number; tokens: number; next: number }> {
  let sum = 0;
  let next = first;
  while (next < pieces.length && (next === first || sum + pieces[next]!.tokens <= most)) sum += pieces[next++]!.tokens;
  for (;;) {
    const { start, end } = trimmed(document, pieces[first]!.start, pieces[next - 1]!.end);
    const [tokens] = await count([document.slice(start, end)]);
    // Pieces side by side may have more tokens than apart, where the tokenizer marks the start of a text.
    if (tokens! <= most || next === first + 1) return { start, end, tokens: tokens!, next };
    next--;
  }
}

/** The piece with which the next chunk begins, so that it repeats at most `overlap` tokens and still goes on. */
function stepBack(pieces: readonly Span[], first: number, next: number, overlap: number): number {
  let begin = next;
  for (let sum = 0; begin > first + 1; begin--) {
    sum += pieces[begin - 1]!.tokens;
    if (sum > overlap) break;
  }
  return begin;
}

/** White space at a chunk's borders belongs to no chunk. */
function trimmed(document: string, start: number, end: number): { start: number; end: number } {
  const text = document.slice(start, end);
  if (text.trim() === "") return { start, end };
  return { start: start + text.length - text.trimStart().length, end: end - (text.length - text.trimEnd().length) };
}
