import { createHash, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { HttpError } from "./errors.ts";

/** Peer address of requests that come through `fetch()`, which no socket can have. */
export const IN_PROCESS = "in-process";

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];
/** Paths that need no key: they say nothing of the models, or are the pages on which a key is entered. */
const OPEN_PATHS = new Set(["/healthz", "/readyz", "/ui", "/ui/app.js", "/ui/style.css", "/docs", "/openapi.json"]);
/** Pages that a link on another site may lead to. */
const PAGES = new Set(["/", "/ui", "/docs"]);
const ALLOWED_HEADERS = [
  "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, OpenAI-Beta",
  "x-stainless-arch, x-stainless-async, x-stainless-custom-poll-interval, x-stainless-helper-method, x-stainless-lang",
  "x-stainless-os, x-stainless-package-version, x-stainless-poll-helper, x-stainless-retry-count",
  "x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout",
].join(", ");
const EXPOSED_HEADERS = "x-request-id, x-inlay-fingerprint, x-inlay-queue-ms, server-timing, retry-after";

export interface GuardOptions {
  apiKey?: string;
  allowedHosts?: readonly string[];
  allowedOrigins?: readonly string[];
}

/** Decides before any work whether a request may be answered at all. */
export class Guard {
  readonly #hosts: readonly string[];
  readonly #origins: readonly RegExp[];
  readonly #key: Buffer | undefined;

  constructor(options: GuardOptions) {
    this.#hosts = (options.allowedHosts ?? []).map((host) => host.toLowerCase());
    this.#origins = (options.allowedOrigins ?? []).map(originPattern);
    this.#key = options.apiKey === undefined ? undefined : digest(options.apiKey);
  }

  /** Throws for what is refused; true if it answered the request itself (a preflight). */
  check(request: FastifyRequest, reply: FastifyReply): boolean {
    const path = pathOf(request.raw.url ?? "/");
    if (request.raw.socket.remoteAddress !== IN_PROCESS) {
      if (!this.#hostAllowed(request)) throw new HttpError(403, "");
      if (this.#checkOrigin(request, reply, path)) return true;
    }
    const health = path === "/" && (request.method === "GET" || request.method === "HEAD");
    if (this.#key !== undefined && !health && !OPEN_PATHS.has(path)) this.#checkKey(request);
    const encoding = request.headers["content-encoding"];
    if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
      throw new HttpError(415, "the request body must not be compressed", { connection: "close" });
    }
    return false;
  }

  /** Exact names only: this, not CORS, is what stops a page that had its own name resolved to this machine. */
  #hostAllowed(request: FastifyRequest): boolean {
    const socket = request.raw.socket as Socket;
    // A unix socket or named pipe: no page reaches it.
    if (socket.localAddress === undefined && socket.remoteAddress === undefined) return true;
    const url = request.originalUrl;
    const headers = hostHeaders(request.raw.rawHeaders);
    if (headers.length !== 1) return false;
    const host = headers[0]!.toLowerCase();
    const absolute = /^https?:\/\/([^/?#]*)/i.exec(url)?.[1];
    if (absolute !== undefined && absolute.toLowerCase() !== host) return false;
    const { name, port } = splitHost(host);
    if (this.#hosts.includes(host) || this.#hosts.includes(name)) return true;
    if (isLoopback(socket.localAddress)) return LOOPBACK_NAMES.includes(name) && (port ?? 80) === socket.localPort;
    // Bound to the network on purpose, with a key or told to do without: the names it is reached by cannot be known.
    return this.#hosts.length === 0;
  }

  #checkOrigin(request: FastifyRequest, reply: FastifyReply, path: string): boolean {
    const { origin } = request.headers;
    const preflight = request.method === "OPTIONS";
    if (origin === undefined) {
      const site = request.headers["sec-fetch-site"];
      const navigates = request.headers["sec-fetch-mode"] === "navigate" && request.method === "GET" && PAGES.has(path);
      if (site === "cross-site" && !navigates) throw new HttpError(403, "");
    } else if (this.#origins.some((pattern) => pattern.test(origin))) {
      reply.header("access-control-allow-origin", origin);
      reply.header("vary", "Origin");
      reply.header("access-control-expose-headers", EXPOSED_HEADERS);
      if (preflight) {
        reply.header("access-control-allow-methods", "GET, HEAD, POST, OPTIONS");
        reply.header("access-control-allow-headers", ALLOWED_HEADERS);
        reply.header("access-control-max-age", "600");
      }
    } else if (origin !== `http://${request.headers.host}`) {
      throw new HttpError(403, "");
    }
    if (preflight) reply.code(204).send();
    return preflight;
  }

  #checkKey(request: FastifyRequest): void {
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    // Digests have one length, so the comparison tells nothing of the key's.
    if (given !== undefined && timingSafeEqual(digest(given), this.#key!)) return;
    throw new HttpError(401, "a valid API key is needed: send it as Authorization: Bearer <key>", {
      "www-authenticate": "Bearer",
      connection: "close",
    });
  }
}

export function pathOf(url: string): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}

export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  return address === "::1" || address === "localhost" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(address);
}

function hostHeaders(rawHeaders: readonly string[]): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === "host") values.push(rawHeaders[i + 1]!);
  }
  return values;
}

function splitHost(host: string): { name: string; port: number | undefined } {
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(host)!;
  const { 1: name = "", 2: port } = match;
  return { name, port: port === undefined ? undefined : Number(port) };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** `*` stands for any characters: `http://localhost:*`, `app://*`. */
function originPattern(origin: string): RegExp {
  const pattern = origin
    .trim()
    .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^/\\s]*");
  return new RegExp(`^${pattern}$`, "i");
}
