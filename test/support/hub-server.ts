import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** How a server misbehaves at one request. */
export type Fault =
  | { kind: "status"; status: number; headers?: Record<string, string> }
  /** Ends the connection after so many bytes of the body. */
  | { kind: "cut"; after: number }
  /** Says nothing more after so many bytes. */
  | { kind: "stall"; after: number }
  /** So many bytes at a time, with a pause in ms. */
  | { kind: "slow"; bytes: number; pause: number }
  | { kind: "html" }
  /** The right length, but other bytes. */
  | { kind: "wrong-bytes" }
  /** The whole file, whatever range was asked for. */
  | { kind: "no-ranges" }
  /** Another range than was asked for. */
  | { kind: "wrong-range" }
  | { kind: "wrong-size" }
  | { kind: "redirect"; location: string };

export interface SeenRequest {
  server: "hub" | "cdn";
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
}

export interface Repository {
  commit: string;
  files: Map<string, Buffer>;
  /** Needs this token. */
  token?: string;
  /** Answers 403 whatever the token. */
  gated?: boolean;
}

/**
 * Two servers on loopback that behave as the Hugging Face hub and its file servers do: the hub describes files and
 * redirects to signed addresses on another origin (another port and host name), which know ranges and no tokens.
 */
export class HubServer {
  readonly repositories = new Map<string, Repository>();
  readonly requests: SeenRequest[] = [];
  /** Faults for the next requests, one each; `undefined` behaves. */
  readonly faults: { hub: (Fault | undefined)[]; cdn: (Fault | undefined)[] } = { hub: [], cdn: [] };
  /** A fault for every request that {@link faults} says nothing of. */
  always: { hub?: Fault; cdn?: Fault } = {};
  /** Headers that a mirror drops. */
  drop: string[] = [];
  /** Files on a page of the listing. */
  pageSize = 1000;
  /** Where the listing's next page is, if not here. */
  nextPage?: string;
  /** Size that the hub states instead of the real one. */
  statedSize?: number;
  bytesServed = 0;
  /** Requests for content that were open at once, at most. */
  concurrent = 0;
  #open = 0;
  #hub: Server;
  #cdn: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#guard(this.#onHub(request, response), response));
    this.#cdn = createServer((request, response) => this.#guard(this.#onCdn(request, response), response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    for (const part of [server.#hub, server.#cdn]) {
      await new Promise<void>((resolve) => part.listen(0, "127.0.0.1", resolve));
    }
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get fileServer(): string {
    return `http://localhost:${(this.#cdn.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const part of [this.#hub, this.#cdn]) {
      part.closeAllConnections();
      await new Promise((resolve) => part.close(resolve));
    }
  }

  add(repo: string, files: Record<string, Buffer>, more: Partial<Repository> = {}): Repository {
    const commit = createHash("sha1").update(repo).update(Object.keys(files).join()).digest("hex");
    const repository = { commit, files: new Map(Object.entries(files)), ...more };
    this.repositories.set(repo, repository);
    return repository;
  }

  contentRequests(): SeenRequest[] {
    return this.requests.filter(({ server, method }) => server === "cdn" && method === "GET");
  }

  async #onHub(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#note("hub", request);
    const fault = this.faults.hub.shift() ?? this.always.hub;
    if (await misbehaved(fault, response)) return;
    const url = new URL(request.url!, this.endpoint);
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/(tree|paths-info)\/([^/]+)\/?$/.exec(url.pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const [, repo = "", kind = "", revision = ""] = tree ?? (file && [file[0], file[1], "resolve", file[2]]) ?? [];
    const repository = this.repositories.get(repo);
    const given = request.headers.authorization?.replace(/^Bearer /, "");
    if (repository === undefined || (repository.token !== undefined && given !== repository.token)) {
      // The hub does not tell strangers whether a private repository exists.
      return given === undefined ? fail(response, 401, "RepoNotFound") : fail(response, 404, "RepoNotFound");
    }
    if (repository.gated) return fail(response, 403, "GatedRepo");
    if (!["main", repository.commit].includes(revision)) return fail(response, 404, "RevisionNotFound");
    if (kind === "tree") return this.#listing(url, repository, response);
    if (kind === "paths-info") return this.#pathsInfo(request, repository, response);
    const path = decodeURIComponent(file![3]!);
    const content = repository.files.get(path);
    if (content === undefined) return fail(response, 404, "EntryNotFound");
    const headers: Record<string, string> = {
      "x-repo-commit": repository.commit,
      "x-linked-etag": `"${sha256(content)}"`,
      "x-linked-size": String(this.statedSize ?? content.length),
      "accept-ranges": "bytes",
      location: `${this.fileServer}/${repo}/${encodeURIComponent(path)}?signature=very-secret&expires=1`,
    };
    for (const name of this.drop) delete headers[name];
    response.writeHead(302, headers).end("Found. Redirecting");
  }

  #listing(url: URL, repository: Repository, response: ServerResponse): void {
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const entries = [...repository.files].map(([path, content]) => this.#describe(path, content));
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (start + this.pageSize < entries.length) {
      const next = new URL(url);
      next.searchParams.set("cursor", String(start + this.pageSize));
      headers.link = `<${this.nextPage ?? next.href}>; rel="next"`;
    }
    response.writeHead(200, headers).end(JSON.stringify(entries.slice(start, start + this.pageSize)));
  }

  async #pathsInfo(request: IncomingMessage, repository: Repository, response: ServerResponse): Promise<void> {
    const { paths } = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const entries = [...repository.files]
      .filter(([path]) => paths.includes(path))
      .map(([path, content]) => ({
        ...this.#describe(path, content),
        lastCommit: { id: repository.commit, title: "", date: "2026-01-01T00:00:00Z" },
      }));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(entries));
  }

  #describe(path: string, content: Buffer) {
    return {
      type: "file",
      path,
      size: content.length,
      oid: createHash("sha1").update(content).digest("hex"),
      lfs: { oid: sha256(content), size: content.length, pointerSize: 135 },
    };
  }

  async #onCdn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#note("cdn", request);
    // As S3 and its like do where a signature and a header both claim to authorise.
    if (request.headers.authorization !== undefined) return fail(response, 400, "OnlyOneAuthMechanismAllowed");
    const fault = this.faults.cdn.shift() ?? this.always.cdn;
    if (await misbehaved(fault, response)) return;
    const [, repo = "", file = ""] = /^\/([^/]+\/[^/]+)\/(.+)$/.exec(request.url!.split("?")[0]!) ?? [];
    const stored = this.repositories.get(repo)?.files.get(decodeURIComponent(file));
    if (stored === undefined) return fail(response, 404, "NoSuchKey");
    const content = fault?.kind === "wrong-bytes" ? stored.map((byte) => byte ^ 1) : stored;
    const size = fault?.kind === "wrong-size" ? content.length + 1 : content.length;
    const asked = fault?.kind === "no-ranges" ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    let [start, end] = asked === null ? [0, content.length - 1] : [Number(asked[1]), Number(asked[2])];
    end = Math.min(end, content.length - 1);
    if (fault?.kind === "wrong-range") [start, end] = [0, Math.min(9, content.length - 1)];
    response.writeHead(asked === null ? 200 : 206, {
      "content-type": "application/octet-stream",
      "content-length": end - start + 1,
      etag: `"${sha256(stored)}"`,
      ...(asked && { "content-range": `bytes ${start}-${end}/${size}` }),
    });
    this.concurrent = Math.max(this.concurrent, ++this.#open);
    try {
      await this.#send(content.subarray(start, end + 1), fault, response);
    } finally {
      this.#open--;
    }
  }

  async #send(body: Uint8Array, fault: Fault | undefined, response: ServerResponse): Promise<void> {
    const limit = fault?.kind === "cut" || fault?.kind === "stall" ? Math.min(fault.after, body.length) : body.length;
    const step = fault?.kind === "slow" ? fault.bytes : 64 * 1024;
    const gone = once(response, "close");
    for (let position = 0; position < limit && !response.destroyed; position += step) {
      const chunk = body.subarray(position, Math.min(position + step, limit));
      this.bytesServed += chunk.length;
      if (!response.write(chunk)) await Promise.race([once(response, "drain"), gone]);
      if (fault?.kind === "slow") await sleep(fault.pause);
    }
    if (fault?.kind === "stall") return;
    if (limit < body.length) {
      // What was written must leave before the connection breaks.
      await sleep(5);
      response.destroy();
    } else response.end();
  }

  #note(server: "hub" | "cdn", { method, url, headers }: IncomingMessage): void {
    this.requests.push({ server, method: method!, url: url!, headers });
  }

  #guard(work: Promise<void>, response: ServerResponse): void {
    work.catch(() => response.destroy());
  }
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

async function misbehaved(fault: Fault | undefined, response: ServerResponse): Promise<boolean> {
  if (fault?.kind === "status") {
    response.writeHead(fault.status, fault.headers).end("no");
    return true;
  }
  if (fault?.kind === "redirect") {
    response.writeHead(302, { location: fault.location }).end();
    return true;
  }
  if (fault?.kind === "html") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<html>Please log in</html>");
    return true;
  }
  return false;
}

function fail(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "x-error-code": code, "content-type": "application/json" });
  response.end(JSON.stringify({ error: code }));
}
