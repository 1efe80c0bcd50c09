import type { Logger } from "pino";
import type { LoadOptions } from "../types.ts";

/** How a server behaves. Every limit has a default that holds on a machine shared with others. */
export interface ServerOptions {
  /** A secret that every request but the health checks and the pages must carry as `Authorization: Bearer …`. */
  apiKey?: string;
  /** Names beyond `localhost`, `127.0.0.1` and `[::1]` that the Host header may carry, each with or without a port. */
  allowedHosts?: readonly string[];
  /** Origins whose pages may call this server, such as `https://app.example` or `http://localhost:*`; none by default. */
  allowedOrigins?: readonly string[];
  /** Names that this server gives to models: each a name, or the path of a GGUF. Others resolve as everywhere. */
  models?: Readonly<Record<string, string>>;
  /** Only the models in {@link ServerOptions.models} are served. */
  onlyModels?: boolean;
  /** How long a model stays loaded when no request has said: seconds, negative for ever. */
  keepAlive?: number;
  /** Of every model that is loaded; see `LoadOptions`. A model that cannot have it is refused. */
  precision?: LoadOptions["precision"];
  /** Let `POST /api/pull` download models. */
  pull?: boolean;
  /** Where log lines go; silent by default. */
  logger?: Logger;
  limits?: Partial<Limits>;
}

export interface Limits {
  /** Bytes of one request's body. */
  bodyBytes: number;
  /** Texts in one request. */
  inputs: number;
  /** Characters (UTF-16 units) of one text. */
  inputChars: number;
  /** Requests that are being received or answered; past it, 503. */
  queueRequests: number;
  /** Bytes of all bodies and vectors that are held for requests; past it, 503. */
  queueBytes: number;
  maxConnections: number;
  /** Milliseconds for a request's headers. */
  headersTimeout: number;
  /** Milliseconds for a whole request to arrive. */
  requestTimeout: number;
  /** Milliseconds that an idle connection is kept. */
  keepAliveTimeout: number;
  /** Milliseconds in which a request must be answered. */
  deadline: number;
  /** Milliseconds after which a long job's headers go out, and then a space per such while: JSON allows white space. */
  earlyHeaders: number;
  /** Milliseconds that a client may leave an answer unread. */
  writeTimeout: number;
  requestsPerSocket: number;
}

export const DEFAULT_LIMITS: Readonly<Limits> = {
  bodyBytes: 32 * 1024 * 1024,
  inputs: 16_384,
  inputChars: 1024 * 1024,
  queueRequests: 4096,
  queueBytes: 512 * 1024 * 1024,
  maxConnections: 8192,
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 65_000,
  deadline: 3_600_000,
  earlyHeaders: 30_000,
  writeTimeout: 60_000,
  requestsPerSocket: 1000,
};
