import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseHost } from "../lib/cli/serve.ts";
import { compile } from "./support/compiled.ts";
import { distance } from "./support/reference.ts";
import { get, post } from "./support/server-client.ts";
import { makeModel } from "./support/synthetic.ts";

interface Served {
  child: ChildProcess;
  /** Lines of the log so far, as text. */
  log(): string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

let folder: string;
const children: ChildProcess[] = [];

beforeAll(() => {
  folder = compile("cli/main.ts");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function serve(args: string[], env: NodeJS.ProcessEnv = {}): Served {
  const clean = Object.entries(process.env).filter(
    ([name]) => !/^(INLAY|OLLAMA)_/.test(name) || name === "INLAY_ADDON",
  );
  const child = spawn(process.execPath, [join(folder, "cli", "main.js"), "serve", ...args], {
    env: { ...Object.fromEntries(clean), NODE_OPTIONS: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream!.setEncoding("utf8").on("data", (part) => (text += part));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
  return { child, log: () => text, ended };
}

async function address(served: Served): Promise<string> {
  const found = () => /"address":"([^"]+)"/.exec(served.log())?.[1];
  await expect.poll(() => found() ?? served.child.exitCode, { timeout: 30_000 }).not.toBeNull();
  const url = found();
  if (url === undefined) throw new Error(`it did not listen: ${served.log()}`);
  return url;
}

describe("inlay serve", () => {
  it("answers, logs requests as lines of JSON without their texts, and ends when told", async () => {
    const served = serve(["--port", "0"]);
    const url = await address(served);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await post(`${url}/api/embed`, { model: "builtin", input: "s3cret words" })).status).toBe(200);
    served.child.kill("SIGTERM");
    expect(await served.ended).toEqual({ code: 0, signal: null });
    const lines = served
      .log()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toContainEqual(
      expect.objectContaining({ method: "POST", route: "/api/embed", status: 200, model: "builtin", texts: 1 }),
    );
    expect(served.log()).not.toContain("s3cret");
  });

  it("finishes requests under way on SIGTERM, and ends at once on the second", async () => {
    const model = await makeModel({ architecture: "bert", layers: 4, dim: 256, heads: 8, ffn: 1024, context: 512 });
    const input = Array.from({ length: 400 }, (_, i) => `${i} ${"a somewhat longer text ".repeat(10)}`);
    const args = ["--port", "0", "--serve", `slow=${model}`, "--preload", "slow"];
    const finishing = serve(args);
    const url = await address(finishing);
    await expect.poll(async () => (await get(`${url}/readyz`)).status, { timeout: 20_000 }).toBe(200);
    const asked = post(`${url}/api/embed`, { model: "slow", input: input.slice(0, 100) });
    await queued(url);
    finishing.child.kill("SIGTERM");
    expect((await asked).json.embeddings).toHaveLength(100);
    expect((await finishing.ended).code).toBe(0);

    const ending = serve(args);
    const other = await address(ending);
    const cut = post(`${other}/api/embed`, { model: "slow", input: Array(20).fill(input).flat() });
    cut.catch(() => {});
    await queued(other);
    ending.child.kill("SIGTERM");
    await expect.poll(() => ending.log()).toContain("draining");
    const started = performance.now();
    ending.child.kill("SIGTERM");
    expect((await ending.ended).code).toBe(1);
    expect(performance.now() - started).toBeLessThan(10_000);
    await expect(cut).rejects.toThrow();
  });

  async function queued(url: string): Promise<void> {
    await expect
      .poll(async () => (await get(`${url}/api/stats`)).json.queue.texts, { timeout: 20_000 })
      .toBeGreaterThan(0);
  }

  it("says in a sentence that the port is taken", async () => {
    const holder = createTcpServer().listen(0, "127.0.0.1");
    await sleep(50);
    const { port } = holder.address() as { port: number };
    const served = serve(["--port", String(port)]);
    expect((await served.ended).code).toBe(1);
    expect(served.log()).toBe(
      `inlay: port ${port} on 127.0.0.1 is taken, perhaps by Ollama itself: stop that, or choose another with --port\n`,
    );
    holder.close();
  });

  it("refuses to be reached by other machines without a key, unless told to", async () => {
    const refused = serve(["--host", "0.0.0.0", "--port", "0"]);
    expect((await refused.ended).code).toBe(1);
    expect(refused.log()).toMatch(/API key is needed: give one in INLAY_API_KEY, or say --insecure/);
    const off = serve(["--host", "0.0.0.0", "--port", "0"], { INLAY_INSECURE: "0" });
    expect((await off.ended).code).toBe(1);
  });

  it("takes options from the environment, the command line first", async () => {
    const served = serve(["--log", "info"], { INLAY_PORT: "0", INLAY_API_KEY: "s3cret", INLAY_LOG: "silent" });
    const url = await address(served);
    expect((await get(`${url}/api/tags`)).status).toBe(401);
    expect((await get(`${url}/api/tags`, { authorization: "Bearer s3cret" })).status).toBe(200);
    expect(served.log()).not.toContain("s3cret");
    for (const [args, word] of [
      [["--port", "70000"], "65535"],
      [["--keep-alive", "5d"], '"5m"'],
      [["--max-queue", "many"], "whole number"],
      [["--serve", "x"], "name=model"],
      [["--precision", "fp8"], "int8"],
    ] as const) {
      const wrong = serve([...args]);
      expect((await wrong.ended).code).toBe(2);
      expect(wrong.log()).toContain(word);
    }
  });

  it("understands Ollama's variables", async () => {
    const served = serve([], {
      OLLAMA_HOST: ' "http://localhost:0" ',
      OLLAMA_KEEP_ALIVE: "-1",
      OLLAMA_ORIGINS: "https://app.example",
    });
    const url = (await address(served)).replace("[::1]", "localhost");
    await post(`${url}/api/embed`, { model: "builtin", input: "x" });
    const [model] = (await get(`${url}/api/ps`)).json.models;
    expect(new Date(model.expires_at).getFullYear()).toBeGreaterThan(2100);
    const { headers } = await get(`${url}/api/tags`, { origin: "https://app.example" });
    expect(headers.get("access-control-allow-origin")).toBe("https://app.example");
  });

  it.skipIf(process.platform === "win32")("listens on a unix socket, and takes it away at the end", async () => {
    const path = join(tmpdir(), `inlay-serve-${process.pid}.sock`);
    const served = serve(["--socket", path]);
    await address(served);
    expect(existsSync(path)).toBe(true);
    served.child.kill("SIGINT");
    expect((await served.ended).code).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it("serves in the precision it is told to", async () => {
    const vectorOf = async (args: string[], env: NodeJS.ProcessEnv): Promise<number[]> => {
      const url = await address(serve(["--port", "0", ...args], env));
      return (await post(`${url}/api/embed`, { model: "builtin", input: "why is the sky blue?" })).json.embeddings[0];
    };
    const floats = await vectorOf(["--precision", "f32"], { INLAY_PRECISION: "int8" });
    const bytes = await vectorOf([], { INLAY_PRECISION: "int8" });
    expect(bytes).not.toEqual(floats);
    expect(distance(bytes, floats)).toBeLessThan(1e-2);
  });

  it("serves what it is told to and nothing else", async () => {
    const model = await makeModel({ architecture: "bert" });
    const served = serve(["--port", "0", "--serve", `search=${model}`, "--only"]);
    const url = await address(served);
    expect((await post(`${url}/api/embed`, { model: "search", input: "x" })).status).toBe(200);
    expect((await post(`${url}/api/embed`, { model: "builtin", input: "x" })).status).toBe(404);
    const names = (await get(`${url}/api/tags`)).json.models.map(({ name }: { name: string }) => name);
    expect(names).toEqual(["search:latest"]);
  });
});

describe("OLLAMA_HOST and --host", () => {
  it.each([
    ["", "127.0.0.1", 11434],
    ["0.0.0.0", "0.0.0.0", 11434],
    ["example.com:56789", "example.com", 56789],
    [":1234", "127.0.0.1", 1234],
    ["http://1.2.3.4", "1.2.3.4", 80],
    ["https://1.2.3.4", "1.2.3.4", 443],
    ["http://1.2.3.4:4321/path", "1.2.3.4", 4321],
    ["1.2.3.4:99999", "1.2.3.4", 11434],
    ["1.2.3.4:x", "1.2.3.4", 11434],
    ["[::1]:1337", "::1", 1337],
    ["[::1]", "::1", 11434],
    ["::1", "::1", 11434],
  ])("%j is %s, port %i", (text, host, port) => {
    expect(parseHost(text)).toEqual({ host, port });
  });
});
