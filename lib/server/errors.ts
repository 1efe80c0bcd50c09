import { InlayError } from "../errors.ts";
import { goJson } from "./json.ts";

/** A failure whose sentence is meant for the client. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

export type Dialect = "ollama" | "openai";

/** Ollama's words for a full queue; the two spaces are Ollama's. */
export const BUSY = "server busy, please try again.  maximum pending requests exceeded";
export const TOO_LONG = "the input length exceeds the context length";

/** The sentence for a name that no source knows. */
export function notFound(model: string): HttpError {
  return new HttpError(404, `model ${JSON.stringify(model)} not found, try pulling it first`);
}

export function busy(retryAfterMs = 1000): HttpError {
  return new HttpError(503, BUSY, { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) });
}

/**
 * What a client is told of any failure: no stack, no path, none of its input beyond the model's name. The rest is for
 * the log.
 */
export function publicError(error: unknown, model?: string): HttpError {
  if (error instanceof HttpError) return error;
  if (!(error instanceof InlayError)) return new HttpError(500, "internal error; the server's log says more");
  const { code, status } = error;
  const name = model === undefined ? "the model" : `model ${JSON.stringify(model)}`;
  switch (code) {
    case "ERR_MODEL_NOT_FOUND":
      return model === undefined ? new HttpError(404, "model not found") : notFound(model);
    case "ERR_NAME_INVALID":
      return new HttpError(status, "invalid model name");
    case "ERR_INPUT_TOO_LONG":
      return new HttpError(status, TOO_LONG);
    case "ERR_INPUT_INVALID":
      return new HttpError(
        status,
        error.index === undefined ? "invalid input" : `invalid input at index ${error.index}`,
      );
    case "ERR_QUEUE_FULL":
      return busy(error.retryAfter);
    case "ERR_MODEL_INVALID":
    case "ERR_MODEL_CORRUPT":
      return new HttpError(status, `${name} cannot be loaded: its file is damaged${rule(error)}`);
    case "ERR_MODEL_UNSUPPORTED":
      return new HttpError(status, `${name} is no embedding model that this server can run${rule(error)}`);
    case "ERR_MODEL_ACCESS":
      return new HttpError(status, `${name} cannot be read by this server`);
    case "ERR_OUT_OF_MEMORY":
      return new HttpError(status, `${name} needs more memory than there is`);
    case "ERR_OFFLINE":
      return new HttpError(status, `${name} is not on this machine, and this server does not download`);
    case "ERR_DOWNLOAD":
      return new HttpError(status, `${name} could not be downloaded`);
    case "ERR_DISK_FULL":
      return new HttpError(status, `there is no room on the disk for ${name}`);
    case "ERR_DISPOSED":
      return new HttpError(503, `${name} is being unloaded, please try again`, { "retry-after": "1" });
    case "ERR_ABORTED":
      return new HttpError(status, "request canceled");
    default:
      return new HttpError(status, `internal error (${code}); the server's log says more`);
  }
}

function rule(error: InlayError): string {
  return error.rule === undefined ? "" : ` (${error.rule})`;
}

/** The body of an error answer. */
export function errorBody(dialect: Dialect, status: number, message: string): string {
  if (dialect === "ollama") return goJson({ error: message });
  return goJson({ error: { message, type: openAiType(status), param: null, code: null } });
}

function openAiType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 404) return "not_found_error";
  return status < 500 ? "invalid_request_error" : "api_error";
}

export function dialectOf(url: string): Dialect {
  return url.startsWith("/v1/") ? "openai" : "ollama";
}
