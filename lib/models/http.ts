import type { Readable } from "node:stream";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import { InlayError } from "../errors.ts";
import { offlineBy } from "./environment.ts";
import { proxyFor } from "./proxy.ts";

export interface Answer {
  status: number;
  /** Where the answer came from, after redirects. */
  url: URL;
  /** Whether it came from another origin than the service's. */
  redirected: boolean;
  header(name: string): string | undefined;
  body: Readable;
  /** Ends the connection without reading what is left. */
  discard(): void;
}

export interface GetOptions {
  method?: "GET" | "HEAD";
  /** First and last byte. */
  range?: readonly [number, number];
  accept?: string;
  signal?: AbortSignal;
  /** Redirects are followed (default) or, if they leave the origin, returned. */
  redirects?: "follow" | "same-origin";
}

const MAX_REDIRECTS = 10;
const CONNECT_TIMEOUT = 15_000;

/**
 * Talks to one service and to wherever it redirects. The token goes to the service's own origin and nowhere else,
 * and stands in no message.
 */
export class HttpClient {
  readonly #origin: string;
  readonly #token: string | undefined;
  readonly #dispatchers = new Map<string, Dispatcher>();

  constructor(origin: string, token?: string) {
    this.#origin = new URL(origin).origin;
    this.#token = token;
  }

  /** @throws ERR_OFFLINE; ERR_DOWNLOAD when nothing sensible answers. Statuses are the caller's to judge. */
  async get(address: string, options: GetOptions = {}): Promise<Answer> {
    let url = new URL(address);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const answer = await this.#send(url, options);
      const location = answer.header("location");
      if (answer.status < 300 || answer.status >= 400 || location === undefined) return answer;
      const next = this.#next(url, location);
      if (options.redirects === "same-origin" && next.origin !== url.origin) return answer;
      answer.discard();
      url = next;
    }
    throw new InlayError("ERR_DOWNLOAD", `${plain(url)} redirects more than ${MAX_REDIRECTS} times.`);
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
  }

  #next(url: URL, location: string): URL {
    let next: URL;
    try {
      next = new URL(location, url);
    } catch (cause) {
      throw new InlayError("ERR_DOWNLOAD", `${plain(url)} redirects to something that is no URL.`, { cause });
    }
    const allowed = url.protocol === "https:" ? ["https:"] : ["https:", "http:"];
    if (!allowed.includes(next.protocol)) {
      throw new InlayError("ERR_DOWNLOAD", `${plain(url)} redirects away from https, to ${plain(next)}.`);
    }
    return next;
  }

  async #send(url: URL, { method = "GET", range, accept, signal }: GetOptions): Promise<Answer> {
    const forbidden = offlineBy();
    if (forbidden !== undefined) throw offline(forbidden, plain(url));
    signal?.throwIfAborted();
    const headers: Record<string, string> = { "user-agent": "inlay", "accept-encoding": "identity" };
    if (accept !== undefined) headers.accept = accept;
    if (range !== undefined) headers.range = `bytes=${range[0]}-${range[1]}`;
    if (this.#token !== undefined && url.origin === this.#origin) headers.authorization = `Bearer ${this.#token}`;
    const {
      statusCode,
      headers: received,
      body,
    } = await request(url, {
      method,
      headers,
      signal,
      dispatcher: this.#dispatcher(url),
    });
    // A connection that is cut after the answer was discarded must not become an uncaught error.
    body.on("error", () => undefined);
    return {
      status: statusCode,
      url,
      redirected: url.origin !== this.#origin,
      body,
      header: (name) => [received[name]].flat()[0],
      discard: () => body.destroy(),
    };
  }

  #dispatcher(url: URL): Dispatcher {
    const proxy = proxyFor(url);
    const known = this.#dispatchers.get(proxy ?? "");
    if (known !== undefined) return known;
    const idle = idleTimeout();
    const options = { connect: { timeout: CONNECT_TIMEOUT }, headersTimeout: idle, bodyTimeout: idle };
    const made = proxy === undefined ? new Agent(options) : new ProxyAgent({ uri: proxy, ...options });
    this.#dispatchers.set(proxy ?? "", made);
    return made;
  }
}

/** A URL as it may be shown: a signed address is a secret for as long as it is valid. */
export function plain(url: URL | string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

export function offline(variable: string, what: string): InlayError {
  return new InlayError(
    "ERR_OFFLINE",
    `${variable} forbids the network, so ${what} cannot be fetched. Put the model on this machine first, or unset ${variable}.`,
  );
}

/** How long a connection may say nothing, in ms; huggingface_hub's variable counts seconds. */
function idleTimeout(): number {
  const seconds = Number(process.env.HF_HUB_DOWNLOAD_TIMEOUT);
  return seconds > 0 && seconds <= 3600 ? seconds * 1000 : 30_000;
}
