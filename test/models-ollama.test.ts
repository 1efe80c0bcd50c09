import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listModels, resolveModel } from "../lib/models/index.ts";
import { storeModel } from "./support/ollama-store.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

const MINILM = "registry.ollama.ai/library/all-minilm/latest";
let box: Sandbox;
let root: string;
beforeEach(() => {
  box = sandbox();
  root = box.path(".ollama/models");
});
afterEach(() => box.remove());

const code = (name: string) => expect.objectContaining({ code: name });

describe("a model that Ollama pulled", () => {
  it("is its blob, with the digest and the params layer", async () => {
    const { blobs } = storeModel(root, {
      manifest: MINILM,
      layers: [
        ["model", "gguf"],
        ["license", "Apache"],
        ["params", JSON.stringify({ num_ctx: 256, stop: ["x"] })],
      ],
    });
    expect(await resolveModel("all-minilm")).toEqual({
      name: "all-minilm",
      path: blobs[0],
      source: "ollama",
      sha256: blobs[0]!.slice(-64),
      defaults: { num_ctx: 256, stop: ["x"] },
    });
    for (const name of [
      "all-minilm:latest",
      "library/all-minilm",
      "registry.ollama.ai/library/all-minilm:latest",
      "all-minilm:local",
    ]) {
      expect((await resolveModel(name)).path).toBe(blobs[0]);
    }
  });

  it("is found in either case, the exact one first", async () => {
    const { blobs } = storeModel(root, { manifest: "hf.co/Qwen/Embed-GGUF/Q8_0", layers: [["model", "upper"]] });
    expect((await resolveModel("HF.CO/qwen/embed-gguf:q8_0")).path).toBe(blobs[0]);
    const other = storeModel(root, { manifest: "registry.ollama.ai/library/Mixed/latest", layers: [["model", "a"]] });
    const exact = storeModel(root, { manifest: "registry.ollama.ai/library/mixed/latest", layers: [["model", "b"]] });
    expect((await resolveModel("Mixed")).path).toBe(other.blobs[0]);
    expect((await resolveModel("mixed")).path).toBe(exact.blobs[0]);
  });

  it("of several model layers is the last", async () => {
    const { blobs } = storeModel(root, {
      manifest: MINILM,
      layers: [
        ["model", "first"],
        ["model", "second"],
      ],
    });
    expect((await resolveModel("all-minilm")).path).toBe(blobs[1]);
  });

  it("in a very old store has a colon in its blob's name", async () => {
    const { blobs } = storeModel(root, { manifest: MINILM, separator: ":", layers: [["model", "gguf"]] });
    expect(blobs[0]).toMatch(/sha256:[0-9a-f]{64}$/);
    expect((await resolveModel("all-minilm")).path).toBe(blobs[0]);
  });

  it("is looked for in OLLAMA_MODELS first, then in the home folder", async () => {
    const home = storeModel(root, { manifest: MINILM, layers: [["model", "home"]] });
    process.env.OLLAMA_MODELS = box.path("set");
    expect((await resolveModel("all-minilm")).path).toBe(home.blobs[0]);
    const set = storeModel(box.path("set"), { manifest: MINILM, layers: [["model", "set"]] });
    expect((await resolveModel("all-minilm")).path).toBe(set.blobs[0]);
  });
});

describe("a model that cannot be used says why", () => {
  const unsupported = code("ERR_MODEL_UNSUPPORTED");

  it("a cloud model", async () => {
    storeModel(root, {
      manifest: "registry.ollama.ai/library/big/cloud",
      config: { remote_host: "https://example.org", remote_model: "big" },
    });
    await expect(resolveModel("big:cloud")).rejects.toThrow(/cloud/);
    await expect(resolveModel("big:cloud")).rejects.toThrow(unsupported);
    await expect(resolveModel("other:20b-cloud")).rejects.toThrow(unsupported);
  });

  it("safetensors", async () => {
    storeModel(root, {
      manifest: "registry.ollama.ai/library/mlx/latest",
      config: { model_format: "safetensors" },
      layers: [["tensor", "weights"]],
    });
    await expect(resolveModel("mlx")).rejects.toThrow(unsupported);
    await expect(resolveModel("mlx")).rejects.toThrow(/safetensors/);
  });

  it("an adapter", async () => {
    storeModel(root, {
      manifest: MINILM,
      layers: [
        ["model", "gguf"],
        ["adapter", "lora"],
      ],
    });
    await expect(resolveModel("all-minilm")).rejects.toThrow(unsupported);
  });

  it("no model layer", async () => {
    storeModel(root, { manifest: MINILM, layers: [["license", "text"]] });
    await expect(resolveModel("all-minilm")).rejects.toThrow(unsupported);
  });

  it("a pruned blob", async () => {
    const { blobs } = storeModel(root, { manifest: MINILM, layers: [["model", "gguf"]] });
    rmSync(blobs[0]!);
    await expect(resolveModel("all-minilm")).rejects.toThrow(/ollama pull all-minilm/);
    await expect(resolveModel("all-minilm")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });

  it("a blob that is still being pulled", async () => {
    const { blobs } = storeModel(root, { manifest: MINILM, layers: [["model", "gguf"]] });
    renameSync(blobs[0]!, `${blobs[0]}-partial`);
    await expect(resolveModel("all-minilm")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });

  it("a blob of another size than the manifest's", async () => {
    const { blobs } = storeModel(root, { manifest: MINILM, layers: [["model", "gguf"]] });
    writeFileSync(blobs[0]!, "gg");
    await expect(resolveModel("all-minilm")).rejects.toThrow(/2 bytes instead of 4/);
    await expect(resolveModel("all-minilm")).rejects.toThrow(code("ERR_MODEL_CORRUPT"));
  });

  it.each([
    ["is no JSON", "{"],
    ["is empty", ""],
    ["is a list", "[]"],
    ["has no layers", "{}"],
    ["has layers of nothing", '{"layers":[null]}'],
    ["has a digest that climbs", JSON.stringify({ layers: [layer("sha256:../../../../etc/passwd")] })],
    ["has a digest of another kind", JSON.stringify({ layers: [layer(`md5:${"a".repeat(64)}`)] })],
    ["has a digest with a tail", JSON.stringify({ layers: [layer(`sha256:${"a".repeat(64)}/../x`)] })],
    ["is enormous", " ".repeat(5 << 20)],
  ])("a manifest that %s", async (_, text) => {
    const { manifest } = storeModel(root, { manifest: MINILM, layers: [["model", "gguf"]] });
    writeFileSync(manifest, text);
    await expect(resolveModel("all-minilm")).rejects.toThrow(code("ERR_MODEL_CORRUPT"));
  });

  it.each(["{", "[1]", "7"])("params that are %j", async (params) => {
    storeModel(root, {
      manifest: MINILM,
      layers: [
        ["model", "gguf"],
        ["params", params],
      ],
    });
    await expect(resolveModel("all-minilm")).rejects.toThrow(code("ERR_MODEL_CORRUPT"));
  });
});

describe("the list", () => {
  it("has each manifest at its depth once, under the name Ollama shows", async () => {
    storeModel(root, { manifest: MINILM, layers: [["model", "gguf"]] });
    storeModel(root, { manifest: "registry.ollama.ai/chroma/m/v1", layers: [["model", "gguf"]] });
    storeModel(root, { manifest: "hf.co/o/r/Q8_0", layers: [["model", "gguf"]] });
    storeModel(root, { manifest: "registry.ollama.ai/library/mlx/latest", layers: [["tensor", "x"]] });
    storeModel(box.path("set"), { manifest: MINILM, layers: [["model", "other"]] });
    process.env.OLLAMA_MODELS = box.path("set");
    const { manifest } = storeModel(root, { manifest: "registry.ollama.ai/library/broken/latest" });
    writeFileSync(manifest, "{");
    writeFileSync(join(root, "manifests/registry.ollama.ai/stray"), "{}");
    mkdirSync(join(root, "manifests/registry.ollama.ai/library/all-minilm/deep/er"), { recursive: true });
    const models = (await listModels()).filter(({ source }) => source === "ollama");
    expect(models.map(({ name }) => name).sort()).toEqual([
      "all-minilm:latest",
      "broken:latest",
      "chroma/m:v1",
      "hf.co/o/r:Q8_0",
    ]);
    expect(models.find(({ name }) => name === "broken:latest")?.problem).toMatch(/not JSON/);
    expect(models[0]!.bytes).toBe("other".length);
  });

  it("leaves the store as it was", async () => {
    storeModel(root, { manifest: MINILM, layers: [["model", "gguf"]] });
    const state = () =>
      (readdirSync(root, { recursive: true }) as string[])
        .sort()
        .map((path) => [path, statSync(join(root, path)).mtimeMs]);
    const before = state();
    await resolveModel("all-minilm");
    await listModels();
    expect(state()).toEqual(before);
  });
});

function layer(digest: string) {
  return { mediaType: "application/vnd.ollama.image.model", digest, size: 4 };
}
