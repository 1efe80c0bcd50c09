// What Go's encoding/json tells a client and JSON.parse does not: where the first value ends (what follows is ignored),
// numbers as they were written (256.0 is no integer), and the sentences for malformed text. Nothing here recurses.

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

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Parses the first JSON value of a request's body. */
export function parseBody(bytes: Buffer): ParsedBody {
  if (bytes.length === 0) throw new BodyError("missing request body");
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new BodyError("the request body is not valid UTF-8");
  }
  const { end, numbers } = scan(bytes, bytes.length > SMALL_BODY ? LARGE_DEPTH : SMALL_DEPTH);
  try {
    return { value: JSON.parse(end === bytes.length ? text : utf8.decode(bytes.subarray(0, end))), numbers };
  } catch {
    throw new BodyError(syntaxError(text) ?? "the request body is not valid JSON");
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

/** Finds the end of the first value without judging the grammar, in one pass that skips over strings at memchr's speed. */
function scan(bytes: Buffer, maxDepth: number): { end: number; numbers: Map<string, string> } {
  const numbers = new Map<string, string>();
  let depth = 0;
  let key = "";
  let at = 0;
  while (at < bytes.length) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      const end = stringEnd(bytes, at);
      if (depth === 0) return { end, numbers };
      const length = end - at - 2;
      // No key that matters is longer; the rest are texts.
      if (length <= 32 && bytes[afterSpace(bytes, end)] === COLON) {
        const name = bytes.toString("latin1", at + 1, end - 1);
        if (name === "__proto__") throw new BodyError('the key "__proto__" is not accepted');
        if (depth === 1) key = name;
      }
      at = end;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) throw new BodyError("exceeded max depth");
      at++;
    } else if (byte === 0x7d || byte === 0x5d) {
      at++;
      if (--depth <= 0) return { end: at, numbers };
    } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const end = numberEnd(bytes, at);
      if (depth === 1) numbers.set(key, bytes.toString("latin1", at, end));
      at = end;
      if (depth === 0) return { end, numbers };
    } else if (depth === 0 && byte > 0x20) {
      // true, false, null, or no JSON at all: the parser says.
      let end = at;
      while (end < bytes.length && bytes[end]! >= 0x61 && bytes[end]! <= 0x7a) end++;
      return { end: end === at ? bytes.length : end, numbers };
    } else at++;
  }
  return { end: bytes.length, numbers };
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

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

const EOF = "unexpected EOF";
const VALUE = "looking for beginning of value";
const KEY = "looking for beginning of object key string";

/** The sentence of Go's decoder for the first syntax error in `text`, or undefined if there is none. */
export function syntaxError(text: string): string | undefined {
  const open: ("{" | "[")[] = [];
  let expected: "value" | "value or ]" | "key" | "key or }" | "colon" | "after value" = "value";
  let at = 0;
  for (;;) {
    while (isSpace(text.charCodeAt(at))) at++;
    if (expected === "after value" && open.length === 0) return undefined;
    if (at >= text.length) return EOF;
    const char = String.fromCodePoint(text.codePointAt(at)!);
    if (expected === "colon") {
      if (char !== ":") return unexpected(char, "after object key");
      at++;
      expected = "value";
    } else if (expected === "after value") {
      const inside = open.at(-1);
      if (char === ",") expected = inside === "{" ? "key" : "value";
      else if (char === (inside === "{" ? "}" : "]")) open.pop();
      else return unexpected(char, inside === "{" ? "after object key:value pair" : "after array element");
      at++;
    } else if (expected === "key" || expected === "key or }") {
      if (char === "}" && expected === "key or }") {
        open.pop();
        at++;
        expected = "after value";
      } else {
        if (char !== '"') return unexpected(char, KEY);
        const end = stringError(text, at);
        if (typeof end === "string") return end;
        at = end;
        expected = "colon";
      }
    } else if (char === "{" || char === "[") {
      open.push(char);
      expected = char === "{" ? "key or }" : "value or ]";
      at++;
    } else if (char === "]" && expected === "value or ]") {
      open.pop();
      at++;
      expected = "after value";
    } else {
      const end = scalarError(text, at, char);
      if (typeof end === "string") return end;
      at = end;
      expected = "after value";
    }
  }
}

function scalarError(text: string, at: number, char: string): number | string {
  if (char === '"') return stringError(text, at);
  if (char === "t") return literalError(text, at, "true");
  if (char === "f") return literalError(text, at, "false");
  if (char === "n") return literalError(text, at, "null");
  if (char === "-" || (char >= "0" && char <= "9")) return numberError(text, at);
  return unexpected(char, VALUE);
}

function stringError(text: string, start: number): number | string {
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') return at + 1;
    if (char < " ") return unexpected(char, "in string literal");
    if (char !== "\\") continue;
    const code = text[++at];
    if (code === undefined) return EOF;
    if (code === "u") {
      for (let digit = 0; digit < 4; digit++) {
        const hex = text[++at];
        if (hex === undefined) return EOF;
        if (!/[0-9a-fA-F]/.test(hex)) return unexpected(hex, "in \\u hexadecimal character escape");
      }
    } else if (!'"\\/bfnrt'.includes(code)) return unexpected(code, "in string escape code");
  }
  return EOF;
}

function literalError(text: string, at: number, literal: string): number | string {
  for (let i = 1; i < literal.length; i++) {
    const char = text[at + i];
    if (char === undefined) return EOF;
    if (char !== literal[i]) return unexpected(char, `in literal ${literal} (expecting ${quote(literal[i]!)})`);
  }
  return at + literal.length;
}

function numberError(text: string, start: number): number | string {
  let at = start;
  const digit = (): boolean => text[at] !== undefined && text[at]! >= "0" && text[at]! <= "9";
  const digits = (where: string): string | undefined => {
    if (at >= text.length) return EOF;
    if (!digit()) return unexpected(text[at]!, where);
    while (digit()) at++;
    return undefined;
  };
  if (text[at] === "-") at++;
  if (text[at] === "0") at++;
  else {
    const error = digits("in numeric literal");
    if (error) return error;
  }
  if (text[at] === ".") {
    at++;
    const error = digits("after decimal point in numeric literal");
    if (error) return error;
  }
  if (text[at] === "e" || text[at] === "E") {
    at++;
    if (text[at] === "+" || text[at] === "-") at++;
    const error = digits("in exponent of numeric literal");
    if (error) return error;
  }
  return at;
}

function unexpected(char: string, where: string): string {
  return `invalid character ${quote(char)} ${where}`;
}

function quote(char: string): string {
  if (char === "'") return `'\\''`;
  if (char === '"') return `'"'`;
  if (char < " ") return `'${JSON.stringify(char).slice(1, -1).replace("u00", "x")}'`;
  return `'${char}'`;
}

/** JSON as Go writes it: no character that HTML gives a meaning. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
