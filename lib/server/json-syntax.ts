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

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
