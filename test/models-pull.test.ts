import { randomBytes } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PullProgress } from "../lib/models/index.ts";
import { listModels, pullModel, removeModel, resolveModel, verifyModel } from "../lib/models/index.ts";
import { HubServer, sha256 } from "./support/hub-server.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

const SMALL = randomBytes(300_000);
/** Two pieces of 16 MiB, the last one short. */
const LARGE = randomBytes((16 << 20) + 1_234_567);
let box: Sandbox;
let hub: HubServer;

beforeEach(async () => {
  box = sandbox();
  hub = await HubServer.start();
  hub.add("o/r", { "m-Q8_0.gguf": SMALL, "m-F16.gguf": Buffer.from("f16"), "README.md": Buffer.from("# m") });
  process.env.HF_ENDPOINT = hub.endpoint;
});
afterEach(async () => {
  await hub.stop();
  box.remove();
});

const code = (name: string) => expect.objectContaining({ code: name });
const failureOf = (name: string) =>
  pullModel(name).then(
    () => undefined,
    (error) => error,
  );
const partials = () =>
  existsSync(box.path(".cache/inlay/partial")) ? readdirSync(box.path(".cache/inlay/partial")) : [];
const blobs = () => {
  const folder = box.path(".cache/inlay/hub/models--o--r/blobs");
  return existsSync(folder) ? readdirSync(folder) : [];
};

/** Begins a pull and aborts it in the middle. */
async function interrupt(): Promise<void> {
  hub.always.cdn = { kind: "slow", bytes: 60_000, pause: 50 };
  const abort = new AbortController();
  const pulling = pullModel("hf:o/r", {
    signal: abort.signal,
    onProgress: ({ completed }) => {
      if (completed > 100_000) abort.abort();
    },
  });
  await expect(pulling).rejects.toMatchObject({ name: "AbortError" });
  hub.always = {};
}

describe("a pull", () => {
  it("puts the file where the hub's cache layout has it", async () => {
    const pulled = await pullModel("hf:o/r");
    const { commit } = hub.repositories.get("o/r")!;
    const folder = box.path(".cache/inlay/hub/models--o--r");
    expect(pulled).toEqual({
      name: "hf:o/r",
      path: join(folder, "snapshots", commit, "m-Q8_0.gguf"),
      source: "huggingface",
      sha256: sha256(SMALL),
    });
    expect(readFileSync(pulled.path).equals(SMALL)).toBe(true);
    expect(lstatSync(pulled.path).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "refs/main"), "utf8")).toBe(commit);
    expect(blobs()).toEqual([sha256(SMALL)]);
    expect(partials()).toEqual([]);
  });

  it("serves every spelling of the name afterwards, without the network", async () => {
    const { path } = await pullModel("hf:o/r:q8_0");
    const before = hub.requests.length;
    process.env.INLAY_OFFLINE = "1";
    for (const name of [
      "hf:o/r",
      "hf.co/o/r:Q8_0",
      "hf:o/r/m-Q8_0.gguf",
      "https://hf.co/o/r/resolve/main/m-Q8_0.gguf",
    ]) {
      expect((await resolveModel(name)).path).toBe(path);
    }
    expect((await pullModel("hf:o/r")).path).toBe(path);
    expect(hub.requests.length).toBe(before);
  });

  it("fetches nothing twice, unless forced", async () => {
    await pullModel("hf:o/r");
    await pullModel("hf:o/r");
    expect(hub.contentRequests()).toHaveLength(1);
    await pullModel("hf:o/r", { force: true });
    expect(hub.contentRequests()).toHaveLength(2);
  });

  it("fetches a large file in parallel ranges and reports each byte once", async () => {
    hub.add("o/large", { "m.gguf": LARGE });
    const seen: PullProgress[] = [];
    const { path } = await pullModel("hf:o/large", { onProgress: (progress) => seen.push(progress) });
    expect(readFileSync(path).equals(LARGE)).toBe(true);
    expect(hub.contentRequests().map(({ headers }) => headers.range)).toHaveLength(2);
    expect(hub.concurrent).toBeGreaterThan(1);
    expect(hub.bytesServed).toBe(LARGE.length);
    const completed = seen.filter(({ phase }) => phase === "download").map((progress) => progress.completed);
    expect(completed[0]).toBe(0);
    expect(completed.at(-1)).toBe(LARGE.length);
    expect(completed).toEqual([...completed].sort((a, b) => a - b));
    expect(seen.at(-1)).toEqual({
      file: "o/large/m.gguf",
      phase: "verify",
      completed: LARGE.length,
      total: LARGE.length,
    });
  });

  it("knows the catalogue's names", async () => {
    hub.add("CompendiumLabs/bge-small-en-v1.5-gguf", {
      "bge-small-en-v1.5-f32.gguf": Buffer.from("f32"),
      "bge-small-en-v1.5-q8_0.gguf": Buffer.from("q8"),
    });
    const pulled = await pullModel("bge-small-en-v1.5");
    expect(readFileSync(pulled.path, "utf8")).toBe("q8");
    expect((await resolveModel("bge-small-en-v1.5")).path).toBe(pulled.path);
    expect(readFileSync((await pullModel("bge-small-en-v1.5:f32")).path, "utf8")).toBe("f32");
    await expect(pullModel("no-such-model")).rejects.toThrow(code("ERR_NAME_INVALID"));
  });

  it("may be asked for twice at once", async () => {
    const pulled = await Promise.all([pullModel("hf:o/r"), pullModel("hf:o/r")]);
    expect(pulled[0]).toEqual(pulled[1]);
    expect(readFileSync(pulled[0].path).equals(SMALL)).toBe(true);
    expect(partials()).toEqual([]);
  });

  it("follows an alias", async () => {
    process.env.INLAY_ALIASES = box.write("aliases.json", '{"mine": "hf:o/r:f16"}');
    const { path } = await pullModel("mine");
    expect((await resolveModel("mine")).path).toBe(path);
  });

  it("reads a listing of several pages, but not one that goes on elsewhere", async () => {
    hub.pageSize = 1;
    expect((await pullModel("hf:o/r")).path).toMatch(/m-Q8_0\.gguf$/);
    hub.nextPage = `${hub.fileServer}/api/models/o/r/tree/main?cursor=1`;
    await expect(pullModel("hf:o/r", { force: true })).rejects.toThrow(/goes on elsewhere/);
  });

  it("manages with a mirror that drops the hub's headers", async () => {
    hub.drop = ["x-linked-etag", "x-linked-size"];
    expect((await pullModel("hf:o/r/m-Q8_0.gguf")).sha256).toBe(sha256(SMALL));
  });

  it("never takes a file name out of the cache", async () => {
    hub.add("o/evil", { "../../../../../evil-Q8_0.gguf": SMALL });
    await expect(pullModel("hf:o/evil")).rejects.toThrow(code("ERR_DOWNLOAD"));
    expect(existsSync(box.path("evil-Q8_0.gguf"))).toBe(false);
  });

  it("of an empty file is one", async () => {
    hub.add("o/empty", { "m.gguf": Buffer.alloc(0) });
    expect(readFileSync((await pullModel("hf:o/empty")).path)).toHaveLength(0);
  });
});

describe("a token", () => {
  const TOKEN = "hf_abcdefghijklmnop";
  const authorised = () => hub.requests.filter(({ headers }) => headers.authorization === `Bearer ${TOKEN}`);

  it.each(["HF_TOKEN", "HF_TOKEN_PATH", "the token file"])("from %s goes to the hub alone", async (source) => {
    const file = box.write(source === "HF_TOKEN_PATH" ? "token" : ".cache/huggingface/token", `${TOKEN}\n`);
    if (source === "HF_TOKEN") process.env.HF_TOKEN = TOKEN;
    if (source === "HF_TOKEN_PATH") process.env.HF_TOKEN_PATH = file;
    hub.add("o/private", { "m.gguf": SMALL }, { token: TOKEN });
    await pullModel("hf:o/private");
    const ofHub = hub.requests.filter(({ server }) => server === "hub");
    expect(authorised()).toEqual(ofHub);
    expect(ofHub.length).toBeGreaterThan(1);
    expect(hub.contentRequests()).toHaveLength(1);
  });

  it("is not sent to a host that the hub redirects to, and stands in no message", async () => {
    hub.always.hub = { kind: "redirect", location: `${hub.fileServer}/o/r/m-Q8_0.gguf?signature=very-secret` };
    hub.always.cdn = { kind: "status", status: 418 };
    const error = await pullModel("hf:o/r", { token: TOKEN }).catch((reason) => reason);
    expect(error).toEqual(code("ERR_DOWNLOAD"));
    expect(hub.requests.filter(({ server }) => server === "cdn").length).toBeGreaterThan(0);
    expect(authorised().every(({ server }) => server === "hub")).toBe(true);
    for (const text of [error.message, error.stack, JSON.stringify(error), String(error.cause)]) {
      expect(text).not.toContain(TOKEN);
      expect(text).not.toContain("very-secret");
    }
  });

  it("that is malformed is refused before it is sent", async () => {
    await expect(pullModel("hf:o/r", { token: "hf_a\r\nx: y" })).rejects.toThrow(code("ERR_MODEL_ACCESS"));
    expect(hub.requests).toEqual([]);
  });

  it("is not sent for a URL", async () => {
    process.env.HF_TOKEN = TOKEN;
    await pullModel(`${hub.endpoint}/o/r/resolve/main/m-Q8_0.gguf#sha256=${sha256(SMALL)}`);
    expect(authorised()).toEqual([]);
  });
});

describe("what the hub refuses", () => {
  it("401, 403 and 404 say what to do", async () => {
    hub.add("o/gated", { "m.gguf": SMALL }, { gated: true });
    expect(await failureOf("hf:o/gone")).toEqual(code("ERR_MODEL_ACCESS"));
    expect((await failureOf("hf:o/gone")).message).toMatch(/HF_TOKEN/);
    expect(await failureOf("hf:o/gated")).toEqual(code("ERR_MODEL_ACCESS"));
    expect((await failureOf("hf:o/gated")).message).toMatch(/terms/);
    expect(await failureOf("hf:o/r@dev")).toEqual(code("ERR_MODEL_NOT_FOUND"));
    expect(await failureOf("hf:o/r/gone.gguf")).toEqual(code("ERR_MODEL_NOT_FOUND"));
    expect(await failureOf("hf:o/r:Q2_K")).toEqual(code("ERR_MODEL_NOT_FOUND"));
    process.env.HF_TOKEN = "hf_x";
    expect(await failureOf("hf:o/gone")).toEqual(code("ERR_MODEL_NOT_FOUND"));
  });

  it("429 waits as long as it is told", async () => {
    hub.faults.hub.push({ kind: "status", status: 429, headers: { "retry-after": "1" } });
    const start = Date.now();
    await pullModel("hf:o/r");
    expect(Date.now() - start).toBeGreaterThanOrEqual(990);
  });

  it("429 without end is an error", async () => {
    hub.always.hub = { kind: "status", status: 429, headers: { "retry-after": "0" } };
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DOWNLOAD"));
    expect((await failureOf("hf:o/r")).message).toMatch(/429/);
  });

  it("5xx and an expired address are tried again", async () => {
    hub.faults.hub.push({ kind: "status", status: 500 }, undefined, { kind: "status", status: 503 });
    hub.faults.cdn.push({ kind: "status", status: 403 }, { kind: "status", status: 502 });
    expect(readFileSync((await pullModel("hf:o/r")).path).equals(SMALL)).toBe(true);
  });

  it("redirects in a circle are an error", async () => {
    hub.always.hub = { kind: "redirect", location: "/o/r/resolve/main/m-Q8_0.gguf" };
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DOWNLOAD"));
  });

  it("a redirect to something that is no web address is an error", async () => {
    hub.always.hub = { kind: "redirect", location: "file:///etc/passwd" };
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DOWNLOAD"));
  });
});

describe("a bad connection", () => {
  it("that is cut goes on where it was", async () => {
    hub.faults.cdn.push({ kind: "cut", after: 100_000 }, { kind: "cut", after: 70_000 }, { kind: "cut", after: 0 });
    const { path } = await pullModel("hf:o/r");
    expect(readFileSync(path).equals(SMALL)).toBe(true);
    const starts = hub.contentRequests().map(({ headers }) => Number(/\d+/.exec(headers.range!)![0]));
    expect(starts).toHaveLength(4);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(starts[2]).toBeGreaterThan(100_000);
    expect(hub.bytesServed).toBeLessThan(SMALL.length + 2 * 65536);
  });

  it("that brings nothing any more is an error; the next pull goes on", async () => {
    hub.faults.cdn.push({ kind: "cut", after: 200_000 });
    hub.always.cdn = { kind: "cut", after: 0 };
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DOWNLOAD"));
    expect(blobs()).toEqual([]);
    expect(partials().length).toBeGreaterThan(0);
    await expect(resolveModel("hf:o/r")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
    expect((await listModels()).filter(({ source }) => source === "huggingface")).toEqual([]);
    hub.always = {};
    const before = hub.bytesServed;
    await pullModel("hf:o/r");
    expect(hub.bytesServed - before).toBeLessThan(SMALL.length / 2);
    expect(partials()).toEqual([]);
  });

  it("that falls silent is given up and tried again", async () => {
    process.env.HF_HUB_DOWNLOAD_TIMEOUT = "0.4";
    hub.faults.cdn.push({ kind: "stall", after: 65_536 });
    expect(readFileSync((await pullModel("hf:o/r")).path).equals(SMALL)).toBe(true);
    expect(hub.contentRequests()).toHaveLength(2);
  });

  it("that is slow but steady is enough", async () => {
    process.env.HF_HUB_DOWNLOAD_TIMEOUT = "1.5";
    hub.always.cdn = { kind: "slow", bytes: 30_000, pause: 200 };
    expect(readFileSync((await pullModel("hf:o/r")).path).equals(SMALL)).toBe(true);
    expect(hub.contentRequests()).toHaveLength(1);
  });

  it("to a server that knows no ranges still gives the file", async () => {
    hub.add("o/large", { "m.gguf": LARGE });
    hub.always.cdn = { kind: "no-ranges" };
    expect(readFileSync((await pullModel("hf:o/large")).path).equals(LARGE)).toBe(true);
    hub.faults.cdn.push({ kind: "cut", after: 100_000 });
    expect(readFileSync((await pullModel("hf:o/r")).path).equals(SMALL)).toBe(true);
  });

  it("to nobody is an error", async () => {
    await hub.stop();
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DOWNLOAD"));
    hub = await HubServer.start();
  });
});

describe("a bad file", () => {
  const nothingLeft = () => {
    expect(blobs()).toEqual([]);
    expect(readdirSync(box.path(".cache/inlay"))).toEqual(["partial"]);
  };

  it("with other bytes is discarded", async () => {
    hub.always.cdn = { kind: "wrong-bytes" };
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_MODEL_CORRUPT"));
    nothingLeft();
    expect(partials()).toEqual([]);
  });

  it.each([
    ["a web page", { kind: "html" }],
    ["a file of another size", { kind: "wrong-size" }],
    ["another range", { kind: "wrong-range" }],
  ] as const)("that is %s is an error", async (_, fault) => {
    hub.always.cdn = fault;
    hub.faults.cdn.push({ kind: "cut", after: 65_536 });
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DOWNLOAD"));
    nothingLeft();
  });

  it("a web page instead of the hub's answers is an error", async () => {
    hub.always.hub = { kind: "html" };
    expect((await failureOf("hf:o/r")).message).toMatch(/web page/);
  });

  it("left damaged by an earlier attempt is fetched afresh", async () => {
    await interrupt();
    const partial = partials().find((entry) => entry.endsWith(".partial"))!;
    writeFileSync(box.path(".cache/inlay/partial", partial), Buffer.alloc(1000), { flag: "r+" });
    expect(readFileSync((await pullModel("hf:o/r")).path).equals(SMALL)).toBe(true);
  });

  it("taken over by a process that ended right then is continued", async () => {
    await interrupt();
    const partial = partials().find((entry) => entry.endsWith(".partial"))!;
    const folder = box.path(".cache/inlay/partial");
    // A process number that no system gives.
    renameSync(join(folder, partial), join(folder, partial.replace(/-\d+-(\d+\.partial)$/, "-99999999-$1")));
    const before = hub.bytesServed;
    await pullModel("hf:o/r");
    expect(hub.bytesServed - before).toBeLessThan(SMALL.length - 60_000);
    expect(partials()).toEqual([]);
  });

  it.each([
    ["no JSON", "{"],
    ["of another size", '{"size":5,"done":[[0,5]]}'],
    ["beyond the end", '{"size":300000,"done":[[0,400000]]}'],
    ["nonsense", '{"size":300000,"done":[[5,2],["a","b"],null]}'],
  ])("with a note that is %s is fetched afresh", async (_, note) => {
    await interrupt();
    box.write(join(".cache/inlay/partial", partials().find((entry) => entry.endsWith(".json"))!), note);
    expect(readFileSync((await pullModel("hf:o/r")).path).equals(SMALL)).toBe(true);
    expect(partials()).toEqual([]);
  });
});

describe("an abort", () => {
  it("rejects with its reason at once, and the next pull goes on", async () => {
    await interrupt();
    expect(blobs()).toEqual([]);
    const before = hub.bytesServed;
    await pullModel("hf:o/r");
    expect(hub.bytesServed - before).toBeLessThan(SMALL.length - 60_000);
  });

  it("that came before the call asks for nothing", async () => {
    await expect(pullModel("hf:o/r", { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
    expect(hub.requests).toEqual([]);
  });

  it("ends a wait", async () => {
    hub.always.hub = { kind: "status", status: 429, headers: { "retry-after": "30" } };
    const signal = AbortSignal.timeout(200);
    await expect(pullModel("hf:o/r", { signal })).rejects.toMatchObject({ name: "TimeoutError" });
  });
});

describe("the disk", () => {
  it("that is too small is told before anything is fetched", async () => {
    hub.statedSize = 2 ** 52;
    expect(await failureOf("hf:o/r")).toEqual(code("ERR_DISK_FULL"));
    expect(hub.contentRequests()).toEqual([]);
    expect(partials()).toEqual([]);
  });

  it("that cannot be written to is told with the folder", async () => {
    box.write("file", "x");
    process.env.INLAY_CACHE = box.path("file/cache");
    const error = await failureOf("hf:o/r");
    expect(error).toEqual(code("ERR_MODEL_ACCESS"));
    expect(error.message).toMatch(/INLAY_CACHE/);
  });
});

describe("without the network", () => {
  it.each(["INLAY_OFFLINE", "HF_HUB_OFFLINE"])("%s=1 asks nobody", async (variable) => {
    process.env[variable] = "1";
    for (const name of ["hf:o/r", "bge-small-en-v1.5", `${hub.endpoint}/a.gguf#sha256=${"ab".repeat(32)}`]) {
      const error = await failureOf(name);
      expect(error).toEqual(code("ERR_OFFLINE"));
      expect(error.message).toContain(variable);
    }
    expect(hub.requests).toEqual([]);
  });
});

describe("a proxy", () => {
  it("is used as the environment says, and not for what it exempts", async () => {
    const tunnels: string[] = [];
    const proxy = createServer((_, response) => response.writeHead(405).end());
    proxy.on("connect", (request, socket) => {
      tunnels.push(request.url!);
      const [host, port] = request.url!.split(":");
      const upstream = connect(Number(port), host === "localhost" ? "127.0.0.1" : host, () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.pipe(socket).pipe(upstream);
      });
      upstream.on("error", () => socket.destroy());
      socket.on("error", () => upstream.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    try {
      process.env.HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      process.env.NO_PROXY = "localhost";
      await pullModel("hf:o/r");
      expect(new Set(tunnels)).toEqual(new Set([new URL(hub.endpoint).host]));
      process.env.NO_PROXY = "*";
      const before = tunnels.length;
      await pullModel("hf:o/r", { force: true });
      expect(tunnels.length).toBe(before);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

describe("a URL with a hash", () => {
  const nameFor = (content: Buffer) => `${hub.endpoint}/o/r/resolve/main/m-Q8_0.gguf#sha256=${sha256(content)}`;

  it("is fetched, found by its content and listed", async () => {
    const name = nameFor(SMALL);
    await expect(resolveModel(name)).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
    const pulled = await pullModel(name);
    expect(readFileSync(pulled.path).equals(SMALL)).toBe(true);
    expect(await resolveModel(name)).toEqual(pulled);
    expect(await resolveModel(`https://mirror.example.org/x.gguf#sha256=${sha256(SMALL)}`)).toMatchObject({
      path: pulled.path,
      sha256: sha256(SMALL),
    });
    expect((await listModels()).map((model) => model.name)).toContain(name);
    const before = hub.requests.length;
    await pullModel(name);
    expect(hub.requests.length).toBe(before);
  });

  it("is discarded when its content is another", async () => {
    const name = nameFor(Buffer.from("other"));
    expect(await failureOf(name)).toEqual(code("ERR_MODEL_CORRUPT"));
    await expect(resolveModel(name)).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });
});

describe("verify", () => {
  it("tells right, wrong and unvouched files apart", async () => {
    const { path } = await pullModel("hf:o/r");
    expect(await verifyModel("hf:o/r")).toMatchObject({ state: "right", sha256: sha256(SMALL) });
    writeFileSync(path, "x", { flag: "r+" });
    expect(await verifyModel("hf:o/r")).toMatchObject({ state: "wrong", expected: sha256(SMALL) });
    expect(readFileSync((await pullModel("hf:o/r", { force: true })).path).equals(SMALL)).toBe(true);
    expect(await verifyModel("hf:o/r")).toMatchObject({ state: "right" });
    const own = box.write("own.gguf", "x");
    expect(await verifyModel(own)).toMatchObject({ state: "unvouched", expected: undefined });
  });
});

describe("remove", () => {
  it("takes away what was pulled and nothing else", async () => {
    const q8 = await pullModel("hf:o/r:Q8_0");
    const f16 = await pullModel("hf:o/r:F16");
    const removed = await removeModel("hf:o/r:Q8_0");
    expect(removed.bytes).toBe(SMALL.length);
    expect(existsSync(q8.path)).toBe(false);
    expect(existsSync(f16.path)).toBe(true);
    await removeModel("hf:o/r:F16");
    expect(blobs()).toEqual([]);
    await expect(removeModel("hf:o/r")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
    const name = `${hub.endpoint}/o/r/resolve/main/m-F16.gguf#sha256=${sha256(Buffer.from("f16"))}`;
    const url = await pullModel(name);
    await removeModel(name);
    expect(existsSync(url.path)).toBe(false);
    expect(readdirSync(box.path(".cache/inlay/urls"))).toEqual([]);
  });

  it("leaves what others keep", async () => {
    const path = box.write(".cache/huggingface/hub/models--o--r/snapshots/1/m-Q8_0.gguf", "x");
    const own = box.write("own.gguf", "x");
    await expect(removeModel("hf:o/r")).rejects.toThrow(code("ERR_MODEL_ACCESS"));
    await expect(removeModel(own)).rejects.toThrow(code("ERR_MODEL_ACCESS"));
    expect(existsSync(path) && existsSync(own)).toBe(true);
  });
});
