import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HubServer } from "./support/hub-server.ts";
import { storeModel } from "./support/ollama-store.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";
import { get, post, type Running, startServer } from "./support/server-client.ts";
import { makeModel } from "./support/synthetic.ts";

const TEXT = "one two three four five six seven eight nine ten eleven twelve";
let gguf: Buffer;
let box: Sandbox;
let running: Running;

beforeEach(async () => {
  gguf = readFileSync(await makeModel({ architecture: "bert" }));
  box = sandbox();
});
afterEach(async () => {
  await running.server.close();
  box.remove();
});

describe("a model of Ollama's store", () => {
  const store = () => box.path(".ollama", "models");

  beforeEach(async () => {
    storeModel(store(), {
      manifest: "registry.ollama.ai/library/all-minilm/latest",
      layers: [
        ["model", gguf],
        ["params", JSON.stringify({ num_ctx: 8, stop: ["x"] })],
      ],
    });
    running = await startServer();
  });

  const embed = (body: object) => post(`${running.url}/api/embed`, { input: TEXT, ...body });

  it("answers to its name in any case, with and without the tag", async () => {
    for (const model of ["all-minilm", "all-minilm:latest", "All-MiniLM", "library/all-minilm", " all-minilm "]) {
      const { status, json } = await embed({ model });
      expect([model, status, json.model]).toEqual([model, 200, model]);
    }
    expect((await embed({ model: "all-minilm:v2" })).status).toBe(404);
  });

  it("is listed and shown as Ollama does", async () => {
    const { models } = (await get(`${running.url}/api/tags`)).json;
    const item = models.find(({ name }: { name: string }) => name === "all-minilm:latest");
    expect(item).toMatchObject({ size: gguf.length, details: { format: "gguf", family: "bert", families: ["bert"] } });
    expect(item.digest).toMatch(/^[0-9a-f]{64}$/);
    const shown = await post(`${running.url}/api/show`, { model: "all-minilm" });
    expect(shown.json.parameters).toContain("num_ctx                        8");
    const ids = (await get(`${running.url}/v1/models`)).json.data.map(({ id }: { id: string }) => id);
    expect(ids).toContain("all-minilm:latest");
  });

  it("keeps its own options until a request has others", async () => {
    expect((await embed({ model: "all-minilm" })).json.prompt_eval_count).toBe(8);
    expect((await embed({ model: "all-minilm", options: { num_ctx: 6 } })).json.prompt_eval_count).toBe(6);
    expect((await embed({ model: "all-minilm", options: { num_ctx: 64 } })).json.prompt_eval_count).toBeGreaterThan(12);
  });

  it("that is damaged is an error without the paths of this machine", async () => {
    const { manifest, blobs } = storeModel(store(), {
      manifest: "registry.ollama.ai/library/broken/latest",
      layers: [["model", Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(100, 7)])]],
    });
    const broken = await embed({ model: "broken" });
    expect(broken.status).toBeGreaterThanOrEqual(400);
    expect(broken.text).not.toContain(box.home);
    writeFileSync(blobs[0]!, "short");
    expect((await embed({ model: "broken" })).text).not.toContain(box.home);
    writeFileSync(manifest, "{");
    const corrupt = await embed({ model: "broken" });
    expect(corrupt.status).toBeGreaterThanOrEqual(400);
    expect(corrupt.text).not.toContain(box.home);
  });
});

describe("POST /api/pull", () => {
  let hub: HubServer;
  const pull = (body: object) => post(`${running.url}/api/pull`, { model: "hf:o/r", ...body });

  beforeEach(async () => {
    hub = await HubServer.start();
    hub.add("o/r", { "m-F32.gguf": gguf });
    process.env.HF_ENDPOINT = hub.endpoint;
  });
  afterEach(() => hub.stop());

  it("downloads nothing unless the server was told that it may", async () => {
    running = await startServer();
    const { status, json } = await pull({});
    expect(status).toBe(501);
    expect(json.error).toMatch(/does not download/);
    expect(hub.requests).toEqual([]);
  });

  it("streams its progress, and the model is there", async () => {
    running = await startServer({ pull: true });
    const { headers, text } = await pull({});
    expect(headers.get("content-type")).toBe("application/x-ndjson");
    const steps = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(steps[0]).toEqual({ status: "pulling manifest" });
    expect(steps.at(-1)).toEqual({ status: "success" });
    const progress = steps.filter(({ total }) => total !== undefined);
    expect(progress.length).toBeGreaterThan(0);
    for (const { completed, total } of progress) expect(completed).toBeLessThanOrEqual(total);
    const { status, json } = await post(`${running.url}/api/embed`, { model: "hf:o/r", input: TEXT });
    expect([status, json.embeddings.length]).toEqual([200, 1]);
    expect((await pull({ stream: false })).json).toEqual({ status: "success" });
  });

  it("says what failed, in its last line or by its status", async () => {
    running = await startServer({ pull: true });
    hub.always.hub = { kind: "status", status: 404 };
    const { text } = await pull({});
    expect(JSON.parse(text.trim().split("\n").at(-1)!)).toEqual({ error: expect.any(String) });
    const whole = await pull({ stream: false });
    expect(whole.status).toBeGreaterThanOrEqual(400);
    expect(typeof whole.json.error).toBe("string");
    expect((await pull({ model: "https://127.0.0.1/m.gguf#sha256=00" })).status).toBe(400);
    expect((await pull({ model: "/etc/passwd" })).status).toBe(400);
  });
});
