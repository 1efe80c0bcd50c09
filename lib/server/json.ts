// What Go's encoding/json tells a client and JSON.parse does not: where the first value ends (what follows is ignored),
// numbers as they were written (256.0 is no integer), and the sentences for malformed text. Nothing here recurses.

import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { isSpace, syntaxError } from "./json-syntax.ts";

/** A body that is no acceptable JSON; answered with 400. */
export class BodyError extends Error {}

export interface ParsedBody {
  value: unknown;
  /** Source text of the numbers that are values of the top-level object's keys. */
  numbers: ReadonlyMap<string, string>;
}

/** Bodies up to this size may nest {@link SMALL_DEPTH} deep, larger ones {@link LARGE_DEPTH}, as no embedding request needs more. */
const SMALL_BODY = 64 * 1024;
const SMALL_DEPTH = 32;
const LARGE_DEPTH = 4;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;

/** Bytes that are parsed at a time, well under a millisecond's work; between them others have their turn. */
const PIECE = 64 * 1024;
/** Stands for a value that is parsed by itself; no client can know it. */
const PLACEHOLDER = `\u0000${randomUUID()}:`;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Parses the first JSON value of a request's body, a large one in pieces. */
export async function parseBody(bytes: Buffer): Promise<ParsedBody> {
  if (bytes.length === 0) throw new BodyError("missing request body");
  if (bytes.length > SMALL_BODY) return parseLarge(bytes);
  const { end, numbers } = new Scan(bytes, SMALL_DEPTH).run(bytes.length)!;
  const text = decode(bytes);
  try {
    return { value: JSON.parse(end === bytes.length ? text : decode(bytes.subarray(0, end))), numbers };
  } catch (error) {
    if (error instanceof BodyError) throw error;
    throw new BodyError(syntaxError(text) ?? NOT_JSON);
  }
}

const NOT_JSON = "the request body is not valid JSON";

/**
 * Parses the top-level object with its long lists left out, then those lists piece by piece. Pieces end at commas of
 * the list itself, so each is a list for JSON.parse.
 */
async function parseLarge(bytes: Buffer): Promise<ParsedBody> {
  const scan = new Scan(bytes, LARGE_DEPTH);
  let found = scan.run(PIECE);
  while (found === undefined) {
    await setImmediate();
    found = scan.run(PIECE);
  }
  const lists = found.lists.filter(({ start, end }) => end - start > PIECE);
  let skeleton = "";
  let at = 0;
  lists.forEach(({ start, end }, index) => {
    skeleton += decode(bytes.subarray(at, start)) + JSON.stringify(PLACEHOLDER + index);
    at = end;
  });
  skeleton += decode(bytes.subarray(at, found.end));
  const value = parsed(skeleton);
  if (typeof value === "object" && value !== null) {
    for (const [key, member] of Object.entries(value)) {
      if (typeof member !== "string" || !member.startsWith(PLACEHOLDER)) continue;
      const list = lists[Number(member.slice(PLACEHOLDER.length))]!;
      (value as Record<string, unknown>)[key] = await parseList(bytes, list);
    }
  }
  return { value, numbers: found.numbers };
}

async function parseList(bytes: Buffer, { start, end, cuts }: LongList): Promise<unknown[]> {
  const values: unknown[] = [];
  let from = start + 1;
  if (bytes[end - 1] !== 0x5d) throw new BodyError(NOT_JSON);
  for (const to of [...cuts, end - 1]) {
    const piece = parsed(`[${decode(bytes.subarray(from, to))}]`) as unknown[];
    if (piece.length === 0) throw new BodyError(NOT_JSON);
    for (const item of piece) values.push(item);
    from = to + 1;
    await setImmediate();
  }
  return values;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BodyError(NOT_JSON);
  }
}

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new BodyError("the request body is not valid UTF-8");
  }
}

/** Index just after the string that opens at `start`; the length of the input if it never closes. */
function stringEnd(bytes: Buffer, start: number): number {
  let at = start;
  for (;;) {
    at = bytes.indexOf(QUOTE, at + 1);
    if (at === -1) return bytes.length;
    let escapes = 0;
    while (bytes[at - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at + 1;
  }
}

/** A list that is the value of a key of the top-level object: its brackets, and commas of it about a piece apart. */
interface LongList {
  start: number;
  /** Just after the closing bracket. */
  end: number;
  cuts: number[];
}

/**
 * Finds the end of the first value, and what stands where, without judging the grammar: one pass that skips over strings
 * at memchr's speed, and can be run a part at a time.
 */
class Scan {
  readonly numbers = new Map<string, string>();
  readonly lists: LongList[] = [];
  end = 0;
  readonly #bytes: Buffer;
  readonly #maxDepth: number;
  #at = 0;
  #depth = 0;
  #key = "";
  #list: LongList | undefined;

  constructor(bytes: Buffer, maxDepth: number) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
  }

  /** Goes on for about so many bytes; gives itself when the value has ended. */
  run(budget: number): this | undefined {
    const bytes = this.#bytes;
    const stop = this.#at + budget;
    while (this.#at < bytes.length) {
      if (this.#at >= stop) return undefined;
      if (this.#step(bytes[this.#at]!)) {
        this.end = this.#at;
        return this;
      }
    }
    this.end = bytes.length;
    return this;
  }

  /** Takes one token or a byte between tokens; true when the first value has ended. */
  #step(byte: number): boolean {
    if (byte === QUOTE) return this.#string();
    if (byte === 0x7b || byte === 0x5b) {
      if (++this.#depth > this.#maxDepth) throw new BodyError("exceeded max depth");
      if (this.#depth === 2 && byte === 0x5b) this.#list = { start: this.#at, end: 0, cuts: [] };
      this.#at++;
      return false;
    }
    if (byte === 0x7d || byte === 0x5d) {
      this.#at++;
      if (--this.#depth === 1 && this.#list) {
        this.#list.end = this.#at;
        this.lists.push(this.#list);
        this.#list = undefined;
      }
      return this.#depth <= 0;
    }
    if (byte === COMMA) {
      const list = this.#list;
      if (list && this.#depth === 2 && this.#at - (list.cuts.at(-1) ?? list.start) > PIECE) list.cuts.push(this.#at);
      this.#at++;
      return false;
    }
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const end = numberEnd(this.#bytes, this.#at);
      if (this.#depth === 1) this.numbers.set(this.#key, this.#bytes.toString("latin1", this.#at, end));
      this.#at = end;
      return this.#depth === 0;
    }
    if (this.#depth === 0 && byte > 0x20) return this.#literal();
    this.#at++;
    return false;
  }

  #string(): boolean {
    const start = this.#at;
    this.#at = stringEnd(this.#bytes, start);
    const length = this.#at - start - 2;
    // No key that matters is longer; the rest are texts.
    if (length <= 32 && this.#bytes[afterSpace(this.#bytes, this.#at)] === COLON) {
      const name = this.#bytes.toString("latin1", start + 1, this.#at - 1);
      if (name === "__proto__") throw new BodyError('the key "__proto__" is not accepted');
      if (this.#depth === 1) this.#key = name;
    }
    return this.#depth === 0;
  }

  /** true, false, null, or no JSON at all: the parser says. */
  #literal(): boolean {
    const start = this.#at;
    while (this.#at < this.#bytes.length && this.#bytes[this.#at]! >= 0x61 && this.#bytes[this.#at]! <= 0x7a)
      this.#at++;
    if (this.#at === start) this.#at = this.#bytes.length;
    return true;
  }
}

function afterSpace(bytes: Buffer, start: number): number {
  let at = start;
  while (isSpace(bytes[at])) at++;
  return at;
}

function numberEnd(bytes: Buffer, start: number): number {
  let at = start + 1;
  for (; at < bytes.length; at++) {
    const byte = bytes[at]!;
    const part = (byte >= 0x30 && byte <= 0x39) || byte === 0x2e || byte === 0x2b || byte === 0x2d;
    if (!part && byte !== 0x65 && byte !== 0x45) break;
  }
  return at;
}

/** JSON as Go writes it: no character that HTML gives a meaning. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
