import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { downloadFileToCacheDir, listFiles, scanCacheDir } from "@huggingface/hub";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { pullModel, resolveModel } from "../lib/models/index.ts";
import { HubServer, sha256 } from "./support/hub-server.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

const CONTENT = randomBytes(50_000);
let box: Sandbox;
let hub: HubServer;
beforeEach(async () => {
  box = sandbox();
  hub = await HubServer.start();
  hub.add("o/r", { "m-Q8_0.gguf": CONTENT });
  process.env.HF_ENDPOINT = hub.endpoint;
});
afterEach(async () => {
  await hub.stop();
  box.remove();
});

// The hub's own client vouches that the test server behaves as the hub and that the cache is laid out as it should be.
describe("the hub's own client", () => {
  it("reads what is pulled", async () => {
    const { path } = await pullModel("hf:o/r");
    const { repos, warnings } = await scanCacheDir(box.path(".cache/inlay/hub"));
    expect(warnings).toEqual([]);
    expect(repos).toMatchObject([{ id: { name: "o/r", type: "model" }, size: CONTENT.length }]);
    expect(repos[0]!.revisions).toMatchObject([{ commitOid: hub.repositories.get("o/r")!.commit, refs: ["main"] }]);
    expect(path).toContain(repos[0]!.revisions[0]!.path);
  });

  it("writes what is resolved, and no pull repeats it", async () => {
    vi.spyOn(console, "debug").mockImplementation(() => undefined);
    const repo = { type: "model" as const, name: "o/r" };
    const cacheDir = box.path(".cache/huggingface/hub");
    const path = await downloadFileToCacheDir({ repo, path: "m-Q8_0.gguf", hubUrl: hub.endpoint, cacheDir });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    const found = { name: "hf:o/r", path, source: "huggingface", sha256: sha256(CONTENT) };
    expect(await resolveModel("hf:o/r")).toEqual(found);
    const before = hub.contentRequests().length;
    expect(await pullModel("hf:o/r")).toEqual(found);
    expect(hub.contentRequests().length).toBe(before);
  });

  it("lists the test server's files", async () => {
    const files = [];
    for await (const file of listFiles({ repo: "o/r", hubUrl: hub.endpoint, recursive: true })) files.push(file);
    expect(files).toMatchObject([{ path: "m-Q8_0.gguf", lfs: { oid: sha256(CONTENT), size: CONTENT.length } }]);
  });
});
