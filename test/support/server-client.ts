import { connect } from "node:net";
import { createServer, type InlayServer, type ServerOptions } from "../../lib/server/index.ts";
import { checkAnswer } from "./server-document.ts";

export interface Running {
  server: InlayServer;
  url: string;
  port: number;
}

/** A server on a port of its own; the test closes it. */
export async function startServer(options: ServerOptions = {}): Promise<Running> {
  const server = createServer(options);
  const url = await server.listen({ port: 0 });
  return { server, url, port: Number(new URL(url).port) };
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any;
}

/** Sends `body` as it is where it is text, as JSON otherwise. */
export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return read(
    new Request(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: text }),
  );
}

export async function get(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  return read(new Request(url, { headers }));
}

/** Sends a request and checks that the answer is one that the OpenAPI document announces. */
export async function read(request: Request, send: (request: Request) => Promise<Response> = fetch): Promise<Answer> {
  const response = await send(request);
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  const json = /^application\/json/.test(type) && text !== "" ? JSON.parse(text) : undefined;
  const answer = { status: response.status, headers: response.headers, text, json };
  checkAnswer(request.method.toLowerCase(), new URL(request.url).pathname, answer);
  return answer;
}

/** Everything that a server sends to these bytes until it closes, or until `until` has come. */
export function raw(
  port: number,
  bytes: string | Buffer,
  { until, timeout = 10_000, end = false }: { until?: RegExp; timeout?: number; end?: boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => (end ? socket.end(bytes) : socket.write(bytes)));
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end within ${timeout} ms; so far: ${text}`));
    }, timeout);
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (until?.test(text)) finish();
    });
    socket.on("close", finish);
    socket.on("error", finish);
  });
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}
