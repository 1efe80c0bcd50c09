import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createServer } from "../lib/server/index.ts";
import { get, post, type Running, raw, startServer } from "./support/server-client.ts";

const MODEL = "builtin";
const BODY = JSON.stringify({ model: MODEL, input: "x" });
let running: Running;

beforeAll(async () => {
  running = await startServer({
    limits: {
      bodyBytes: 100_000,
      inputs: 10,
      inputChars: 5000,
      headersTimeout: 1000,
      requestTimeout: 2000,
      keepAliveTimeout: 2000,
    },
  });
});
afterAll(() => running.server.close());

/** A whole request as bytes; `lines` come after the request line. */
function request(lines: readonly string[], body = "", line = "POST /api/embed HTTP/1.1"): string {
  return `${line}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

function embedLines(extra: readonly string[] = []): string[] {
  return [`host: 127.0.0.1:${running.port}`, "content-type: application/json", ...extra];
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
const statusesOf = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

describe("Host", () => {
  const withHost = (lines: string[]) =>
    raw(running.port, request([...lines, "connection: close"], "", "GET /api/version HTTP/1.1"));

  it.each(["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])("%s with the server's port is answered", async (host) => {
    expect(statusOf(await withHost([`host: ${host}:${running.port}`]))).toBe(200);
  });

  it.each([
    "evil.example",
    "evil.example:PORT",
    "localhost",
    "localhost:1",
    "localhost.evil.example:PORT",
    "127.0.0.1.nip.io:PORT",
    "127.0.0.2:PORT",
    "0.0.0.0:PORT",
    "user@localhost:PORT",
    "",
  ])("%s is refused with nothing said", async (host) => {
    const answer = await withHost([`host: ${host.replace("PORT", String(running.port))}`]);
    expect(statusOf(answer)).toBe(403);
    expect(answer).toMatch(/\r\n\r\n$/);
  });

  it("must be there, and once", async () => {
    expect([400, 403]).toContain(statusOf(await withHost(["accept: */*"])));
    const twice = [`host: localhost:${running.port}`, "host: evil.example"];
    expect([400, 403]).toContain(statusOf(await withHost(twice)));
    const old = request(["connection: close"], "", "GET /api/version HTTP/1.0");
    expect(statusOf(await raw(running.port, old))).toBe(403);
  });

  it("must agree with an absolute address", async () => {
    const host = `localhost:${running.port}`;
    const absolute = (address: string) =>
      raw(running.port, request([`host: ${host}`, "connection: close"], "", `GET ${address} HTTP/1.1`));
    expect(statusOf(await absolute(`http://${host}/api/version`))).toBe(200);
    expect(statusOf(await absolute("http://evil.example/api/version"))).toBe(403);
  });

  it("may be a name that the operator gave", async () => {
    const own = await startServer({ allowedHosts: ["embed.example"] });
    const ask = (host: string) =>
      raw(own.port, request([`host: ${host}`, "connection: close"], "", "GET /api/version HTTP/1.1"));
    expect(statusOf(await ask("embed.example"))).toBe(200);
    expect(statusOf(await ask("embed.example:8080"))).toBe(200);
    expect(statusOf(await ask(`localhost:${own.port}`))).toBe(200);
    expect(statusOf(await ask("other.example"))).toBe(403);
    await own.server.close();
  });
});

describe("Origin", () => {
  const embed = (headers: Record<string, string>) => post(`${running.url}/api/embed`, BODY, headers);

  it("of other pages is refused before any work, and never reflected", async () => {
    for (const origin of ["https://evil.example", "null", `http://localhost:${running.port + 1}`, "http://localhost"]) {
      const { status, text, headers } = await embed({ origin });
      expect([status, text]).toEqual([403, ""]);
      expect(headers.get("access-control-allow-origin")).toBeNull();
      expect(headers.get("access-control-allow-credentials")).toBeNull();
    }
  });

  it("of the server's own page is welcome", async () => {
    const { status, headers } = await embed({ origin: running.url });
    expect(status).toBe(200);
    expect(headers.get("access-control-allow-origin")).toBeNull();
  });

  it("is not asked of programs, but what a browser says of other sites is heard", async () => {
    const crossSite = (path: string, mode: string) =>
      rawGet(path, ["sec-fetch-site: cross-site", `sec-fetch-mode: ${mode}`]);
    expect(await crossSite("/api/tags", "no-cors")).toBe(403);
    expect(await crossSite("/ui", "navigate")).toBe(200);
    expect(await crossSite("/api/tags", "navigate")).toBe(403);
  });

  it("is allowed where the operator says so, preflight included", async () => {
    const allowedOrigins = ["https://app.example", "http://localhost:*", "app://*"];
    const own = await startServer({ allowedOrigins });
    for (const origin of ["https://app.example", "http://localhost:3000", "app://inlay"]) {
      const { status, headers } = await post(`${own.url}/api/embed`, BODY, { origin });
      expect([status, headers.get("access-control-allow-origin")]).toEqual([200, origin]);
      expect(headers.get("vary")).toContain("Origin");
    }
    const preflight = (origin: string) =>
      fetch(`${own.url}/api/embed`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
    const allowed = await preflight("https://app.example");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-headers")).toContain("Content-Type");
    expect(allowed.headers.get("access-control-allow-private-network")).toBeNull();
    for (const origin of ["https://app.example.evil", "https://appxexample", "http://localhost:1/evil.example"]) {
      expect((await preflight(origin)).status).toBe(403);
    }
    await own.server.close();
  });

  async function rawGet(path: string, lines: string[]): Promise<number> {
    const host = `host: localhost:${running.port}`;
    return statusOf(
      await raw(running.port, request([host, "connection: close", ...lines], "", `GET ${path} HTTP/1.1`)),
    );
  }
});

describe("content", () => {
  it("is JSON by its type, or nothing", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
      const { status, json } = await post(`${running.url}/api/embed`, BODY, { "content-type": type });
      expect(status).toBe(415);
      expect(json.error).toMatch(/application\/json/);
    }
    const untyped = await raw(
      running.port,
      request([`host: 127.0.0.1:${running.port}`, "connection: close", `content-length: ${BODY.length}`], BODY),
    );
    expect(statusOf(untyped)).toBe(415);
    const typed = await post(`${running.url}/api/embed`, BODY, { "content-type": "application/json; charset=utf-8" });
    expect(typed.status).toBe(200);
  });

  it("is not compressed", async () => {
    const { status } = await post(`${running.url}/api/embed`, BODY, { "content-encoding": "gzip" });
    expect(status).toBe(415);
  });

  it("is UTF-8", async () => {
    const body = Buffer.concat([Buffer.from('{"model":"builtin","input":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    const response = await fetch(`${running.url}/api/embed`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect([response.status, await response.json()]).toEqual([400, { error: "the request body is not valid UTF-8" }]);
  });

  it("has at most so many bytes, declared or not", async () => {
    const big = JSON.stringify({ model: MODEL, input: ["x".repeat(200_000)] });
    expect((await post(`${running.url}/api/embed`, big)).status).toBe(413);
    const chunk = `1000\r\n${"x".repeat(4096)}\r\n`;
    const endless = request(embedLines(["transfer-encoding: chunked"]), chunk.repeat(30));
    expect(statusOf(await raw(running.port, endless))).toBe(413);
  });

  it("has at most so many texts of at most such a length", async () => {
    const many = await post(`${running.url}/api/embed`, { model: MODEL, input: Array(11).fill("x") });
    expect([many.status, many.json.error]).toEqual([413, "11 inputs in one request; at most 10 are accepted"]);
    const long = await post(`${running.url}/api/embed`, { model: MODEL, input: ["x", "y".repeat(5001)] });
    expect([long.status, long.json.error]).toEqual([413, "input 1 has 5001 characters; at most 5000 are accepted"]);
  });

  it("nests no deeper than a request needs, and names no prototype", async () => {
    const deep = (levels: number) => `{"model":"builtin","x":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    expect((await post(`${running.url}/api/embed`, deep(30))).status).toBe(200);
    expect((await post(`${running.url}/api/embed`, deep(40_000))).json.error).toBe("exceeded max depth");
    const wide = `{"model":"builtin","y":"${"y".repeat(70_000)}","x":[[[[1]]]]}`;
    expect((await post(`${running.url}/api/embed`, wide)).json.error).toBe("exceeded max depth");
    const proto = await post(`${running.url}/api/embed`, '{"model":"builtin","__proto__":{"input":"x"}}');
    expect(proto.status).toBe(400);
    expect(({} as { input?: string }).input).toBeUndefined();
  });

  it("comes back in no error beyond the model's name", async () => {
    for (const body of [
      { model: MODEL, input: { secret: "s3cret" } },
      { model: MODEL, input: "x", options: "s3cret" },
      '{"model":"builtin","input":s3cret}',
    ]) {
      const { text } = await post(`${running.url}/api/embed`, body);
      expect(text).not.toContain("s3cret");
      expect(text).not.toMatch(/\bat \w+ \(|node_modules|\.ts:/);
    }
  });
});

describe("connections", () => {
  it("do not smuggle one request inside another", async () => {
    const inner = "GET /api/tags HTTP/1.1\r\nhost: x\r\n\r\n";
    const cases = [
      request(embedLines([`content-length: ${BODY.length}`, "transfer-encoding: chunked"]), `0\r\n\r\n${inner}`),
      request(embedLines([`content-length: ${BODY.length}`, "content-length: 3"]), BODY + inner),
      request(embedLines(["transfer-encoding: chunked, identity"]), `0\r\n\r\n${inner}`),
      request(embedLines(["transfer-encoding : chunked"]), `0\r\n\r\n${inner}`),
      request(embedLines(["content-length: +5"]), BODY + inner),
      request(embedLines([" folded: x"]), inner),
      request(embedLines(["bad\0name: x"]), inner),
      request(embedLines(["transfer-encoding: chunked"]), `zz\r\n${inner}`),
    ];
    for (const bytes of cases) {
      const answer = await raw(running.port, bytes);
      expect(statusesOf(answer)).toEqual([400]);
      expect(answer.toLowerCase()).toContain("connection: close");
    }
  });

  it("answer pipelined requests in order", async () => {
    const one = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost:${running.port}\r\n\r\n`;
    const body = request(embedLines([`content-length: ${BODY.length}`]), BODY);
    const answer = await raw(running.port, one("/api/version") + body + one("/api/nothing"), { until: /404 page/ });
    expect(statusesOf(answer)).toEqual([200, 200, 404]);
  });

  it("are closed when an answer goes out before the body has come", async () => {
    const early = request(embedLines(["content-length: 50000"]).with(1, "content-type: text/plain"), "x");
    const answer = await raw(running.port, early);
    expect(statusOf(answer)).toBe(415);
    expect(answer.toLowerCase()).toContain("connection: close");
  });

  it("with slow headers, a slow body or nothing to say end in time", async () => {
    const started = performance.now();
    const slowHeaders = raw(running.port, "POST /api/embed HTTP/1.1\r\nhost: x\r\n");
    const slowBody = raw(running.port, request(embedLines(["content-length: 100"]), "{"));
    const silent = raw(running.port, "");
    const idle = raw(running.port, `GET /healthz HTTP/1.1\r\nhost: localhost:${running.port}\r\n\r\n`);
    expect(statusOf(await slowHeaders)).toBe(408);
    expect(statusOf(await slowBody)).toBe(408);
    await silent;
    expect(statusOf(await idle)).toBe(200);
    expect(performance.now() - started).toBeLessThan(8000);
  });

  it("that are closed by half count as gone: no sign of it tells the two apart", async () => {
    const bytes = request(embedLines([`content-length: ${BODY.length}`]), BODY);
    await raw(running.port, bytes, { end: true, timeout: 3000 });
    expect((await post(`${running.url}/api/embed`, BODY)).status).toBe(200);
  });

  it("with headers too large or lines that are no HTTP get a short no", async () => {
    const large = request(embedLines([`x-large: ${"x".repeat(20_000)}`]));
    expect(statusOf(await raw(running.port, large))).toBe(431);
    for (const bytes of ["\x16\x03\x01\x02\x00\x01\x00\x01", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]) {
      const answer = await raw(running.port, bytes);
      expect(statusOf(answer)).toBe(400);
      expect(answer).toMatch(/content-length: 0\r\n\r\n$/);
    }
  });

  it("that wait idle do not keep others out", async () => {
    const own = await startServer({ limits: { maxConnections: 20, headersTimeout: 2000 } });
    const sockets: Socket[] = [];
    for (let i = 0; i < 20; i++) sockets.push(connect(own.port, "127.0.0.1").on("error", () => {}));
    await sleep(200);
    await expect
      .poll(
        () =>
          get(`${own.url}/healthz`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 8000 },
      )
      .toBe(200);
    for (const socket of sockets) socket.destroy();
    await own.server.close();
  });
});

describe("an API key", () => {
  it("is asked of all but the health checks and the pages", async () => {
    const own = await startServer({ apiKey: "correct horse" });
    const open = ["/", "/healthz", "/readyz", "/ui", "/ui/app.js", "/ui/style.css", "/docs", "/openapi.json"];
    for (const path of open) expect((await get(own.url + path)).status).toBe(200);
    for (const path of ["/api/tags", "/api/ps", "/metrics", "/v1/models", "/api/stats", "/nothing"]) {
      const { status, headers } = await get(own.url + path);
      expect([path, status, headers.get("www-authenticate")]).toEqual([path, 401, "Bearer"]);
    }
    await own.server.close();
  });

  it("is compared as a whole", async () => {
    const own = await startServer({ apiKey: "s3cret" });
    const ask = (authorization: string) => post(`${own.url}/v1/embeddings`, BODY, { authorization });
    for (const key of ["Bearer", "Bearer s3cre", "Bearer s3crett", "Bearer S3CRET", "Basic s3cret", "s3cret"]) {
      const { status, json, text } = await ask(key);
      expect(status).toBe(401);
      expect(json.error.type).toBe("authentication_error");
      expect(text).not.toContain("s3cre");
    }
    expect((await ask("Bearer s3cret")).status).toBe(200);
    expect((await ask("bearer s3cret")).status).toBe(200);
    await own.server.close();
  });

  it("or a word of consent is needed to be reached from other machines", async () => {
    await expect(createServer().listen({ host: "0.0.0.0", port: 0 })).rejects.toThrow(/API key/);
    await expect(createServer().listen({ host: "::", port: 0 })).rejects.toThrow(/API key/);
  });
});

describe("a unix socket", () => {
  it.skipIf(process.platform === "win32")("serves whoever may open it, whatever Host they say", async () => {
    const server = createServer();
    const path = join(tmpdir(), `inlay-${process.pid}.sock`);
    expect(await server.listen({ path })).toBe(path);
    const status = await new Promise((resolve, reject) => {
      const asked = httpRequest({ socketPath: path, path: "/api/version", headers: { host: "any" } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on("error", reject).end();
    });
    expect(status).toBe(200);
    await server.close();
  });
});

describe("the queue", () => {
  it("is bounded in requests: past it, Ollama's words and when to come again", async () => {
    const own = await startServer({ limits: { queueRequests: 2 } });
    const open = () => {
      const socket = connect(own.port, "127.0.0.1").on("error", () => {});
      const lines = [`host: localhost:${own.port}`, "content-type: application/json", "content-length: 100"];
      socket.write(request(lines, "{"));
      return socket;
    };
    const waiting = [open(), open()];
    await sleep(200);
    const { status, json, headers } = await post(`${own.url}/api/embed`, BODY);
    expect([status, json]).toEqual([
      503,
      { error: "server busy, please try again.  maximum pending requests exceeded" },
    ]);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await get(`${own.url}/healthz`)).status).toBe(200);
    for (const socket of waiting) socket.destroy();
    await expect.poll(async () => (await post(`${own.url}/api/embed`, BODY)).status).toBe(200);
    await own.server.close();
  });

  it("is bounded in bytes, over all requests", async () => {
    const own = await startServer({ limits: { queueBytes: 10_000 } });
    const { status } = await post(`${own.url}/api/embed`, { model: MODEL, input: "x".repeat(11_000) });
    expect(status).toBe(503);
    expect((await post(`${own.url}/api/embed`, BODY)).status).toBe(200);
    await own.server.close();
  });
});

describe("healthz and metrics", () => {
  it("answer without loading a model, and reveal no text", async () => {
    const own = await startServer();
    await post(`${own.url}/api/embed`, { model: MODEL, input: "s3cret words", keep_alive: 0 });
    await expect.poll(async () => (await get(`${own.url}/api/ps`)).json.models).toHaveLength(0);
    const { text, headers } = await get(`${own.url}/metrics`);
    expect(headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(text).not.toContain("s3cret");
    expect(text).toMatch(/^inlay_http_requests_total\{method="POST",route="\/api\/embed",status="200"\} 1$/m);
    expect(text).toMatch(/^inlay_texts_total\{route="\/api\/embed"\} 1$/m);
    expect(text).toMatch(/^inlay_http_request_duration_seconds_count\{route="\/api\/embed"\} 1$/m);
    for (const name of ["queue_jobs", "queue_tokens", "batch_tokens", "tokens_per_second", "http_requests_open"]) {
      expect(text).toMatch(new RegExp(`^inlay_${name} \\d`, "m"));
    }
    await get(`${own.url}/healthz`);
    expect((await get(`${own.url}/api/ps`)).json.models).toHaveLength(0);
    await own.server.close();
  });
});
