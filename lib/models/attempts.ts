import { setTimeout as sleep } from "node:timers/promises";
import { InlayError } from "../errors.ts";
import type { Answer } from "./http.ts";

/** Failures in a row, without a byte in between, before a download is given up. */
const MAX_FAILURES = 5;
/** In ms. */
const FIRST_PAUSE = 200;
const MAX_PAUSE = 30_000;

/**
 * Repeats what fails in passing: broken connections, 408, 429 and 5xx answers, an expired address. `progressed` says
 * whether anything arrived, which forgives earlier failures.
 */
export async function persist<T>(
  { name, signal }: { name: string; signal?: AbortSignal },
  attempt: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      failures = progressed() ? 1 : failures + 1;
      if (!isPassing(error) || failures >= MAX_FAILURES) throw asCoded(error, name);
      const pause = FIRST_PAUSE * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
      const asked = (error as InlayError).retryAfter;
      await sleep(Math.min(asked ?? pause, MAX_PAUSE), undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/** Judges an answer's status for the file that was asked for. */
export function checkStatus(answer: Answer, name: string): void {
  const { status } = answer;
  const code = answer.header("x-error-code");
  switch (status) {
    case 200:
    case 206:
      if (/^text\/html/i.test(answer.header("content-type") ?? "")) {
        throw failed(name, "a web page came instead of the file, perhaps a login page or a proxy's");
      }
      return;
    case 401:
      throw new InlayError(
        "ERR_MODEL_ACCESS",
        `${name} is not public or does not exist (401). If it is gated, accept its terms on the hub, then set HF_TOKEN to a token that may read it.`,
      );
    case 403:
      // The hub signs addresses on its file servers for a while only; asking it again gives a fresh one.
      if (answer.redirected) throw passing(name, `its address on ${answer.url.host} is no longer valid (403)`);
      throw new InlayError(
        "ERR_MODEL_ACCESS",
        `${name} may not be read (403). Accept the model's terms on the hub, or use another HF_TOKEN.`,
      );
    case 404:
      throw new InlayError(
        "ERR_MODEL_NOT_FOUND",
        `${name} does not exist (404${code === undefined ? "" : `, ${code}`}).`,
      );
    case 408:
    case 429:
      throw passing(name, `the server asks for patience (${status})`, retryAfter(answer));
    default:
      if (status >= 500) throw passing(name, `the server answered ${status}`, retryAfter(answer));
      throw failed(name, `the server answered ${status}`);
  }
}

/** What the network's own errors become; anything else is none of ours. */
function asCoded(error: unknown, name: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  return error instanceof InlayError || typeof code !== "string" ? error : failed(name, message, error);
}

export function failed(name: string, why: string, cause?: unknown): InlayError {
  return new InlayError("ERR_DOWNLOAD", `${name} could not be fetched: ${why}.`, { cause });
}

const PASSING = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  "HPE_INVALID_EOF_STATE",
]);

function isPassing(error: unknown): boolean {
  return error instanceof Passing || PASSING.has((error as NodeJS.ErrnoException).code ?? "");
}

/** What another attempt may better; `retryAfter` in ms. */
export function passing(name: string, why: string, retryAfter?: number): InlayError {
  return new Passing("ERR_DOWNLOAD", `${name} could not be fetched: ${why}.`, { retryAfter });
}

/** `Retry-After` in ms: seconds or a date, RFC 9110 §10.2.3. */
function retryAfter(answer: Answer): number | undefined {
  const value = answer.header("retry-after");
  if (value === undefined) return undefined;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

/** What another attempt may better. */
class Passing extends InlayError {}
