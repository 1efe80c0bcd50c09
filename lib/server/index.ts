import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { buildApp } from "./app.ts";
import { IN_PROCESS, isLoopback } from "./hardening.ts";
import type { State } from "./operations.ts";
import type { ServerOptions } from "./options.ts";

export type { Limits, ServerOptions } from "./options.ts";

/** Where a server listens: a port, or a unix socket (on Windows: a named pipe). */
export type Place = { host?: string; port?: number; insecure?: boolean } | { path: string };

/** The server as its host sees it. */
export interface InlayServer {
  /**
   * Starts listening; default `127.0.0.1:11434`. Resolves to the address that clients use. An address that other
   * machines reach needs an `apiKey`, or `insecure: true`.
   */
  listen(place?: Place): Promise<string>;
  /** The address that clients use; undefined while it does not listen. */
  readonly address: string | undefined;
  /** Runs a request through the same routes with no port; needs no {@link InlayServer.listen}. */
  fetch(request: Request): Promise<Response>;
  /** Loads models, by name or path, so that the first request finds them; until then `/readyz` says `starting`. */
  preload(names: readonly string[]): Promise<void>;
  /** Takes no further requests, finishes those under way, and cuts what is left after `deadline` milliseconds. */
  close(options?: { deadline?: number }): Promise<void>;
}

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 11434;
const DEFAULT_DRAIN = 30_000;

/** A server for Ollama's and OpenAI's clients, to be run by itself or inside another process. */
export function createServer(options: ServerOptions = {}): InlayServer {
  let state: State = "ok";
  let address: string | undefined;
  const { app, served } = buildApp(options, () => state);

  return {
    get address() {
      return address;
    },

    async listen(place = {}) {
      if ("path" in place) {
        await app.listen({ path: place.path });
        address = place.path;
        return address;
      }
      const { host = DEFAULT_HOST, port = DEFAULT_PORT, insecure = false } = place;
      if (!isLoopback(host) && options.apiKey === undefined && !insecure) {
        throw new Error(
          `${host} can be reached from other machines, so an API key is needed; set one, or listen insecurely on purpose.`,
        );
      }
      await app.listen({ host, port });
      const bound = app.server.address() as AddressInfo;
      address = `http://${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`;
      return address;
    },

    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const body = request.body === null ? undefined : Readable.fromWeb(request.body as ReadableStream);
      const response = await app.inject({
        method: request.method as "POST",
        url: pathname + search,
        headers: Object.fromEntries(request.headers),
        payload: body,
        payloadAsStream: true,
        remoteAddress: IN_PROCESS,
        signal: request.signal,
      });
      const headers = new Headers();
      for (const [name, value] of Object.entries(response.headers)) {
        if (value !== undefined) headers.set(name, String(value));
      }
      // Of the hop between client and server, which there is none of.
      for (const name of ["connection", "keep-alive", "transfer-encoding"]) headers.delete(name);
      const empty = request.method === "HEAD" || response.statusCode === 204 || response.statusCode === 304;
      const content = empty ? null : (Readable.toWeb(response.stream()) as ReadableStream<Uint8Array>);
      return new Response(content, { status: response.statusCode, headers });
    },

    async preload(names) {
      state = "starting";
      try {
        for (const name of names) await served.preload(name);
      } finally {
        if (state === "starting") state = "ok";
      }
    },

    async close({ deadline = DEFAULT_DRAIN } = {}) {
      state = "draining";
      const timer = setTimeout(() => app.server.closeAllConnections(), deadline);
      await app.close();
      clearTimeout(timer);
      address = undefined;
    },
  };
}

let shared: InlayServer | undefined;

/** Runs a request through the routes of a server with the default options; see {@link InlayServer.fetch}. */
export function fetch(request: Request): Promise<Response> {
  shared ??= createServer();
  return shared.fetch(request);
}
