const SECONDS: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
};

/** The longest duration of Go, about 292 years. */
const LONGEST = 2 ** 63 / 1e9;

/** A value of keep_alive that Ollama refuses; the message is Ollama's. */
export class DurationError extends Error {}

/** Seconds of a Go duration such as "1h15m30.5s"; throws {@link DurationError} with Go's sentence. */
export function parseDuration(text: string): number {
  const invalid = new DurationError(`time: invalid duration ${JSON.stringify(text)}`);
  const negative = text.startsWith("-");
  let rest = /^[+-]/.test(text) ? text.slice(1) : text;
  if (rest === "0") return 0;
  if (rest === "") throw invalid;
  let seconds = 0;
  while (rest !== "") {
    const number = /^(\d+\.?\d*|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) throw invalid;
    rest = rest.slice(number.length);
    const unit = /^[^\d.]*/.exec(rest)![0];
    if (unit === "") throw new DurationError(`time: missing unit in duration ${JSON.stringify(text)}`);
    const scale = SECONDS[unit];
    if (scale === undefined) {
      throw new DurationError(`time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`);
    }
    rest = rest.slice(unit.length);
    seconds += Number(number) * scale;
  }
  if (seconds > LONGEST) throw invalid;
  return negative ? -seconds : seconds;
}

/** Seconds of a request's keep_alive, negative for "never"; undefined where it says nothing. */
export function parseKeepAlive(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return value < 0 ? -1 : Math.min(value, LONGEST);
  if (typeof value === "string") {
    const seconds = parseDuration(value);
    return seconds < 0 ? -1 : seconds;
  }
  if (typeof value === "boolean") throw new DurationError("Unsupported type: 'bool'");
  throw new DurationError(`Unsupported type: '${Array.isArray(value) ? "[]interface {}" : "map[string]interface {}"}'`);
}

/** OLLAMA_KEEP_ALIVE: a Go duration or whole seconds; undefined if it is neither. */
export function parseKeepAliveVariable(text: string): number | undefined {
  if (/^[+-]?\d+$/.test(text)) return parseKeepAlive(Number(text));
  try {
    return parseKeepAlive(text);
  } catch {
    return undefined;
  }
}
