// What happens while an answer is on its way: streams, early headers, clients that go, deadlines, draining.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { models as loadedModels, runtime } from "../lib/index.ts";
import { createServer, fetch as inlayFetch } from "../lib/server/index.ts";
import { get, post, type Running, raw, read, startServer } from "./support/server-client.ts";
import { makeModel } from "./support/synthetic.ts";

const MODEL = "builtin";
const SLOW = { architecture: "bert", layers: 4, dim: 256, heads: 8, ffn: 1024, context: 512, weights: "f16" } as const;
const WIDE = { architecture: "bert", layers: 1, dim: 384, heads: 4, ffn: 64, context: 64, weights: "f16" } as const;
const LONG_TEXT = "a somewhat longer text that takes its time ".repeat(10);

let models: { slow: string; wide: string };
let running: Running;
/** So many long texts take the slow model about two seconds on this machine, as busy as it is. */
let many: number;

beforeAll(async () => {
  models = { slow: await makeModel(SLOW), wide: await makeModel(WIDE) };
  running = await startServer({ models });
  await post(`${running.url}/api/embed`, { model: "slow", input: "warm" });
  const started = performance.now();
  await post(`${running.url}/api/embed`, { model: "slow", input: distinct(20, LONG_TEXT) });
  many = Math.ceil((2000 * 20) / (performance.now() - started)) + 20;
});
afterAll(() => running.server.close());

const distinct = (count: number, text: string) => Array.from({ length: count }, (_, i) => `${i} ${text}`);
const idle = () => expect.poll(() => runtime.stats().queue.jobs, { timeout: 20_000 }).toBe(0);

describe("a large answer", () => {
  it("comes in pieces, and never as one string in the server's memory", async () => {
    const input = distinct(3000, "x");
    const response = await fetch(`${running.url}/api/embed`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "wide", input }),
    });
    expect(response.headers.get("content-length")).toBeNull();
    expect(response.headers.get("x-inlay-fingerprint")).toBeTruthy();
    let pieces = 0;
    const parts: Uint8Array[] = [];
    for await (const part of response.body!) {
      pieces++;
      parts.push(part);
    }
    expect(pieces).toBeGreaterThan(10);
    const answer = JSON.parse(Buffer.concat(parts).toString());
    expect(answer.embeddings).toHaveLength(3000);
    const alone = await post(`${running.url}/api/embed`, {
      model: "wide",
      input: input[1234],
      options: { num_ctx: 8 },
    });
    expect(answer.embeddings[1234]).toEqual(alone.json.embeddings[0]);
  });

  it("waits for a client that reads slowly, and gives up on one that does not", async () => {
    const own = await startServer({ models, limits: { writeTimeout: 500, earlyHeaders: 500 } });
    const body = JSON.stringify({ model: "wide", input: distinct(3000, "x") });
    const head = `POST /api/embed HTTP/1.1\r\nhost: localhost:${own.port}\r\ncontent-type: application/json\r\n`;
    const socket = connect(own.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
    await new Promise((resolve) => socket.once("readable", resolve));
    await expect.poll(() => openRequests(own.url), { timeout: 15_000 }).toBe(0);
    socket.destroy();
    await own.server.close();
  });
});

/** Requests that the server holds work for. */
async function openRequests(url: string): Promise<number> {
  return (await get(`${url}/api/stats`)).json.requests;
}

describe("a long job", () => {
  it("gets its headers out early, white space after them, and the document in the end", async () => {
    const own = await startServer({ models, limits: { earlyHeaders: 50 } });
    const started = performance.now();
    const response = await fetch(`${own.url}/api/embed`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "slow", input: distinct(many, LONG_TEXT) }),
    });
    const headersAfter = performance.now() - started;
    const text = await response.text();
    const total = performance.now() - started;
    expect(response.status).toBe(200);
    expect(text).toMatch(/^ +\{"model":"slow","embeddings":\[\[/);
    expect(JSON.parse(text).embeddings).toHaveLength(many);
    expect(headersAfter).toBeLessThan(total * 0.8);
    await own.server.close();
  });

  it("that fails after its headers cuts the connection rather than pretend", async () => {
    const own = await startServer({ models, limits: { earlyHeaders: 50, deadline: 300 } });
    const response = await fetch(`${own.url}/api/embed`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "slow", input: distinct(4 * many, LONG_TEXT) }),
    });
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    await idle();
    await own.server.close();
  });

  it("ends at its deadline with 503, and its work with it", async () => {
    const own = await startServer({ models, limits: { deadline: 200 } });
    const { status, json, headers } = await post(`${own.url}/api/embed`, {
      model: "slow",
      input: distinct(4 * many, LONG_TEXT),
    });
    expect([status, json.error]).toEqual([503, "the request took too long"]);
    expect(headers.get("retry-after")).toBe("1");
    await idle();
    await own.server.close();
  });

  it("does not keep a short question waiting", async () => {
    await post(`${running.url}/api/embed`, { model: "slow", input: "warm", keep_alive: "5m" });
    const gone = new AbortController();
    const bulk = fetch(`${running.url}/api/embed`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "slow", input: distinct(4 * many, LONG_TEXT) }),
      signal: gone.signal,
    }).catch(() => undefined);
    await expect.poll(() => runtime.stats().queue.texts, { timeout: 10_000 }).toBeGreaterThan(many);
    const { status } = await post(`${running.url}/api/embed`, { model: "slow", input: "a short question" });
    expect(status).toBe(200);
    expect(runtime.stats().queue.texts).toBeGreaterThan(many);
    gone.abort();
    await bulk;
    await idle();
  });
});

describe("a client that goes away", () => {
  it("takes its work with it", async () => {
    const before = runtime.stats().totals.aborted;
    for (let i = 0; i < 5; i++) {
      const gone = new AbortController();
      const asked = fetch(`${running.url}/api/embed`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "slow", input: distinct(4 * many, `${i} ${LONG_TEXT}`) }),
        signal: gone.signal,
      });
      await expect.poll(() => runtime.stats().queue.texts, { timeout: 10_000 }).toBeGreaterThan(0);
      gone.abort();
      await expect(asked).rejects.toThrow();
      await idle();
    }
    expect(runtime.stats().totals.aborted - before).toBeGreaterThanOrEqual(5);
    await expect.poll(() => openRequests(running.url)).toBe(0);
    expect((await post(`${running.url}/api/embed`, { model: "slow", input: "x" })).status).toBe(200);
  });

  it("in the middle of its own request leaves nothing behind", async () => {
    for (let i = 0; i < 20; i++) {
      const socket = connect(running.port, "127.0.0.1");
      socket.on("error", () => {});
      const head = `POST /api/embed HTTP/1.1\r\nhost: localhost:${running.port}\r\ncontent-type: application/json\r\n`;
      socket.write(`${head}content-length: 1000\r\n\r\n{"model":`);
      await sleep(5);
      if (i % 2) socket.destroy();
      else socket.resetAndDestroy();
    }
    await expect.poll(() => openRequests(running.url)).toBe(0);
    expect((await get(`${running.url}/metrics`)).text).toMatch(/^inlay_http_bytes_held 0$/m);
  });
});

describe("many at once", () => {
  it("are each answered once, with their own vectors", async () => {
    const count = process.env.INLAY_LONG === "1" ? 1000 : 200;
    const idleSockets = Array.from({ length: process.env.INLAY_LONG === "1" ? 2000 : 200 }, (_, i) => {
      const socket = connect(running.port, "127.0.0.1");
      socket.on("error", () => {});
      if (i % 2) socket.write("POST /api/embed HTTP/1.1\r\nhost: localhost\r\n");
      return socket;
    });
    await sleep(300);
    const before = process.memoryUsage.rss();
    const answers = await Promise.all(
      Array.from({ length: count }, (_, i) => post(`${running.url}/api/embed`, { model: MODEL, input: `text ${i}` })),
    );
    expect(process.memoryUsage.rss() - before).toBeLessThan(512 * 1024 * 1024);
    for (const { status } of answers) expect([200, 503]).toContain(status);
    const good = answers.flatMap(({ status, json }, i) => (status === 200 ? [{ i, vector: json.embeddings[0] }] : []));
    expect(good.length).toBeGreaterThan(count / 2);
    const together = await post(`${running.url}/api/embed`, { model: MODEL, input: good.map(({ i }) => `text ${i}`) });
    expect(good.map(({ vector }) => vector)).toEqual(together.json.embeddings);
    for (const socket of idleSockets) socket.destroy();
  });
});

describe("close()", () => {
  it("lets requests under way finish, refuses others, and says so beforehand", async () => {
    const own = await startServer({ models });
    expect((await get(`${own.url}/readyz`)).json).toEqual({ status: "ok" });
    const asked = post(`${own.url}/api/embed`, { model: "slow", input: distinct(many, LONG_TEXT) });
    await expect.poll(() => runtime.stats().queue.jobs, { timeout: 10_000 }).toBeGreaterThan(0);
    const closed = own.server.close();
    const late = await get(`${own.url}/readyz`).then(
      ({ status }) => status,
      () => "refused",
    );
    expect(["refused", 503]).toContain(late);
    const { status, json } = await asked;
    expect([status, json.embeddings.length]).toEqual([200, many]);
    await closed;
    await expect(get(`${own.url}/healthz`)).rejects.toThrow();
  });

  it("cuts what is not done by its deadline", async () => {
    const own = await startServer({ models });
    const asked = post(`${own.url}/api/embed`, { model: "slow", input: distinct(4 * many, LONG_TEXT) });
    asked.catch(() => {});
    await expect.poll(() => runtime.stats().queue.jobs, { timeout: 10_000 }).toBeGreaterThan(0);
    const started = performance.now();
    await own.server.close({ deadline: 200 });
    expect(performance.now() - started).toBeLessThan(5000);
    await expect(asked).rejects.toThrow();
    await idle();
  });
});

describe("fetch(), with no port", () => {
  const ask = (path: string, init?: RequestInit) => new Request(`http://anything${path}`, init);
  const json = (body: unknown): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

  it("answers as the server does, whatever the host", async () => {
    const body = { model: MODEL, input: ["a", "b"] };
    const { status, json: answer, headers } = await read(ask("/api/embed", json(body)), inlayFetch);
    expect(status).toBe(200);
    expect(answer.embeddings).toEqual((await post(`${running.url}/api/embed`, body)).json.embeddings);
    expect(headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(headers.get("connection")).toBeNull();
    expect((await read(ask("/api/embed", json({ model: "nope" })), inlayFetch)).status).toBe(404);
    expect(await (await inlayFetch(ask("/"))).text()).toBe("Ollama is running");
    const head = await inlayFetch(ask("/api/version", { method: "HEAD" }));
    expect([head.status, head.body]).toEqual([200, null]);
  });

  it("streams, in both directions", async () => {
    const server = createServer({ models });
    const text = JSON.stringify({ model: "wide", input: distinct(2000, "x") });
    const half = Math.floor(text.length / 2);
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(Buffer.from(text.slice(0, half)));
        await sleep(20);
        controller.enqueue(Buffer.from(text.slice(half)));
        controller.close();
      },
    });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body, duplex: "half" as const };
    const response = await server.fetch(ask("/api/embed", init));
    let pieces = 0;
    let size = 0;
    for await (const part of response.body!) {
      pieces++;
      size += part.length;
    }
    expect(pieces).toBeGreaterThan(10);
    expect(size).toBeGreaterThan(2000 * 384 * 8);
    await server.close();
  });

  it("stops its work when the request is aborted", async () => {
    const gone = new AbortController();
    const init = { ...json({ model: "slow", input: distinct(4 * many, LONG_TEXT) }), signal: gone.signal };
    const asked = running.server.fetch(ask("/api/embed", init));
    await expect.poll(() => runtime.stats().queue.texts, { timeout: 10_000 }).toBeGreaterThan(0);
    gone.abort();
    await expect(asked).rejects.toThrow();
    await idle();
  });

  it("holds to the same limits", async () => {
    const server = createServer({ apiKey: "s3cret", limits: { bodyBytes: 100 } });
    expect((await read(ask("/api/tags"), server.fetch)).status).toBe(401);
    const headers = { "content-type": "application/json", authorization: "Bearer s3cret" };
    const big = { method: "POST", headers, body: JSON.stringify({ model: MODEL, input: "x".repeat(200) }) };
    expect((await read(ask("/api/embed", big), server.fetch)).status).toBe(413);
    await server.close();
  });
});

describe("preload()", () => {
  it("loads models while /readyz says that it does", async () => {
    const early = await makeModel({ ...SLOW, seed: 7 });
    const own = await startServer({ models: { early } });
    const loading = own.server.preload([early]);
    const { status, json } = await get(`${own.url}/readyz`);
    expect([status, json.status]).toEqual([503, "starting"]);
    await loading;
    expect((await get(`${own.url}/readyz`)).status).toBe(200);
    expect(loadedModels().some(({ path }) => path === early)).toBe(true);
    await expect(own.server.preload(["nope"])).rejects.toThrow(/nope/);
    await own.server.close();
  });
});

describe("HTTP/1.0", () => {
  it("gets its answer and the end of the connection", async () => {
    const request = `GET /api/version HTTP/1.0\r\nhost: localhost:${running.port}\r\n\r\n`;
    expect(await raw(running.port, request)).toMatch(/^HTTP\/1\.1 200 [\s\S]*"version"/);
  });
});
