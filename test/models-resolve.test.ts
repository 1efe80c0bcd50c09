import { mkdirSync, readFileSync, statSync, symlinkSync, utimesSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listModels, resolveModel, searchedPlaces } from "../lib/models/index.ts";
import { storeModel } from "./support/ollama-store.ts";
import { ggufBytes, type Sandbox, sandbox } from "./support/sandbox.ts";

let box: Sandbox;
beforeEach(() => {
  box = sandbox();
});
afterEach(() => box.remove());

const code = (name: string) => expect.objectContaining({ code: name });
const SHA = "ab".repeat(32);

describe("a path", () => {
  it("is found as it stands, relative, from home and as a URL", async () => {
    const path = box.write("models/a.gguf", "x");
    for (const name of [path, `./${relative(process.cwd(), path)}`, "~/models/a.gguf", pathToFileURL(path).href]) {
      expect(await resolveModel(name)).toEqual({ name, path, source: "path" });
    }
  });

  it.each(["spaces and (brackets)", "ünïcödé-模型-🦊", "x".repeat(200)])("may hold %s", async (folder) => {
    const path = box.write(`${folder}/${"y".repeat(100)}/a.gguf`, "x");
    expect((await resolveModel(path)).path).toBe(path);
    expect((await resolveModel(pathToFileURL(path).href)).path).toBe(path);
  });

  it("without an extension is used when no name of that spelling is known", async () => {
    const before = process.cwd();
    const path = box.write("local-model", "x");
    process.chdir(box.home);
    try {
      expect(await resolveModel("local-model")).toEqual({ name: "local-model", path, source: "path" });
      storeModel(box.path(".ollama/models"), {
        manifest: "registry.ollama.ai/library/local-model/latest",
        layers: [["model", "gguf"]],
      });
      expect((await resolveModel("local-model")).source).toBe("ollama");
    } finally {
      process.chdir(before);
    }
  });

  it("is refused where names come from outside", async () => {
    const path = box.write("a.gguf", "x");
    box.write(".config/inlay/aliases.json", JSON.stringify({ mine: path }));
    await expect(resolveModel(path, { allowPaths: false })).rejects.toThrow(code("ERR_NAME_INVALID"));
    await expect(resolveModel(pathToFileURL(path).href, { allowPaths: false })).rejects.toThrow(
      code("ERR_NAME_INVALID"),
    );
    expect((await resolveModel("mine", { allowPaths: false })).path).toBe(path);
  });
});

describe("an alias", () => {
  it("leads to any other name, over several steps", async () => {
    const path = box.write("models/a.gguf", "x");
    const file = box.write("settings/aliases.json", JSON.stringify({ search: "mine", mine: "../models/a.gguf" }));
    process.env.INLAY_ALIASES = file;
    expect(await resolveModel("search")).toEqual({ name: "search", path, source: "path" });
  });

  it("that leads in a circle is an error", async () => {
    process.env.INLAY_ALIASES = box.write("aliases.json", JSON.stringify({ a: "b", b: "a" }));
    await expect(resolveModel("a")).rejects.toThrow(code("ERR_NAME_INVALID"));
  });

  it("may share its name with what it leads to", async () => {
    storeModel(box.path(".ollama/models"), {
      manifest: "registry.ollama.ai/library/m/latest",
      layers: [["model", "gguf"]],
    });
    process.env.INLAY_ALIASES = box.write("aliases.json", JSON.stringify({ m: "m" }));
    expect((await resolveModel("m")).source).toBe("ollama");
  });

  it.each(["not json", "[]", '{"a": 1}', '{"a": ""}'])("file with %j is an error, not ignored", async (text) => {
    process.env.INLAY_ALIASES = box.write("aliases.json", text);
    await expect(resolveModel("a")).rejects.toThrow(code("ERR_NAME_INVALID"));
  });

  it("file that was named must be there", async () => {
    process.env.INLAY_ALIASES = box.path("gone.json");
    await expect(resolveModel("a")).rejects.toThrow(code("ERR_MODEL_ACCESS"));
  });
});

describe("a name of the catalogue", () => {
  it("is found in the hub's cache, by quantisation too", async () => {
    const snapshot = ".cache/huggingface/hub/models--CompendiumLabs--bge-small-en-v1.5-gguf/snapshots/0123";
    const q8 = box.write(`${snapshot}/bge-small-en-v1.5-q8_0.gguf`, "x");
    const f32 = box.write(`${snapshot}/bge-small-en-v1.5-f32.gguf`, "x");
    expect(await resolveModel("bge-small-en-v1.5")).toMatchObject({ path: q8, source: "huggingface" });
    expect((await resolveModel("bge-small-en-v1.5:f32")).path).toBe(f32);
  });

  it("that is not here says how to fetch it", async () => {
    await expect(resolveModel("bge-small-en-v1.5")).rejects.toThrow(/inlay pull bge-small-en-v1.5/);
    await expect(resolveModel("no-such-model")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });
});

describe("the hub's cache", () => {
  const COMMIT = "1".repeat(40);
  const OTHER = "2".repeat(40);
  const repo = "hub/models--o--r";

  function blob(cache: string, commit: string, file: string, sha = SHA): string {
    const stored = box.write(`${cache}/blobs/${sha}`, "x");
    const link = box.path(cache, "snapshots", commit, file);
    mkdirSync(join(link, ".."), { recursive: true });
    symlinkRelative(stored, link);
    return link;
  }

  it("is read as other tools leave it, with the hash that a blob's name states", async () => {
    process.env.HF_HOME = box.path("hf");
    box.write(`hf/${repo}/refs/main`, COMMIT);
    const path = blob(`hf/${repo}`, COMMIT, "m-Q8_0.gguf");
    expect(await resolveModel("hf:o/r")).toEqual({ name: "hf:o/r", path, source: "huggingface", sha256: SHA });
    expect((await resolveModel("hf.co/o/r:q8_0")).path).toBe(path);
    expect((await resolveModel("hf:o/r/m-Q8_0.gguf")).path).toBe(path);
    expect((await resolveModel("https://huggingface.co/o/r/blob/main/m-Q8_0.gguf")).path).toBe(path);
  });

  it.each([
    ["HF_HUB_CACHE", "set"],
    ["HUGGINGFACE_HUB_CACHE", "set"],
    ["HF_HOME", "set/hub"],
    ["XDG_CACHE_HOME", "set/huggingface/hub"],
    ["none", ".cache/huggingface/hub"],
    ["INLAY_CACHE", "set/hub"],
  ])("lies where %s says", async (variable, folder) => {
    if (variable !== "none") process.env[variable] = box.path("set");
    const path = box.write(`${folder}/models--o--r/snapshots/${COMMIT}/m.gguf`, "x");
    expect((await resolveModel("hf:o/r")).path).toBe(path);
  });

  it("gives main's snapshot first and a revision only what it names", async () => {
    box.write(`.cache/huggingface/${repo}/refs/main`, COMMIT);
    box.write(`.cache/huggingface/${repo}/refs/dev`, `${OTHER}\n`);
    const main = box.write(`.cache/huggingface/${repo}/snapshots/${COMMIT}/m.gguf`, "x");
    const dev = box.write(`.cache/huggingface/${repo}/snapshots/${OTHER}/m.gguf`, "x");
    utimesSync(join(main, ".."), 1, 1);
    expect((await resolveModel("hf:o/r")).path).toBe(main);
    expect((await resolveModel("hf:o/r@dev")).path).toBe(dev);
    expect((await resolveModel(`hf:o/r@${OTHER}`)).path).toBe(dev);
    await expect(resolveModel("hf:o/r@gone")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });

  it("gives the newest snapshot where main's lacks the file", async () => {
    box.write(`.cache/huggingface/${repo}/refs/main`, "3".repeat(40));
    const old = box.write(`.cache/huggingface/${repo}/snapshots/${COMMIT}/m.gguf`, "x");
    const fresh = box.write(`.cache/huggingface/${repo}/snapshots/${OTHER}/m.gguf`, "x");
    utimesSync(join(old, ".."), 1, 1);
    expect((await resolveModel("hf:o/r")).path).toBe(fresh);
  });

  it("does not take a link whose blob was deleted, nor a ref that climbs", async () => {
    box.write(`.cache/huggingface/${repo}/refs/main`, "../../../../secret");
    box.write("secret/m.gguf", "x");
    const link = box.path(`.cache/huggingface/${repo}/snapshots/${COMMIT}/m.gguf`);
    mkdirSync(join(link, ".."), { recursive: true });
    symlinkRelative(box.path("gone"), link);
    await expect(resolveModel("hf:o/r")).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });

  it("finds a name of the hub that Ollama pulled", async () => {
    const { blobs } = storeModel(box.path(".ollama/models"), {
      manifest: "hf.co/o/r/Q8_0",
      layers: [["model", "gguf"]],
    });
    expect(await resolveModel("hf.co/o/r:q8_0")).toMatchObject({ path: blobs[0], source: "ollama" });
  });
});

describe("lists", () => {
  const header = ggufBytes({
    "general.architecture": "bert",
    "general.file_type": 7,
    "bert.context_length": 512,
    "bert.embedding_length": 384,
    "tokenizer.ggml.tokens": Array.from({ length: 40_000 }, (_, index) => `token-${index}`),
    "general.name": "last",
  });

  it("every source, with what the header says and the last use", async () => {
    storeModel(box.path(".ollama/models"), {
      manifest: "registry.ollama.ai/library/all-minilm/latest",
      layers: [["model", header]],
    });
    const hub = box.write(".cache/huggingface/hub/models--o--r/snapshots/1/sub/m-f16.gguf", "not a gguf");
    const url = box.write(`.cache/inlay/urls/${SHA}.gguf`, header);
    box.write(`.cache/inlay/urls/${SHA}.url`, "https://example.org/a.gguf\n");
    await resolveModel("all-minilm");
    const models = (await listModels()).filter(({ source }) => source !== "builtin");
    expect(models).toMatchObject([
      {
        name: "all-minilm:latest",
        source: "ollama",
        bytes: header.length,
        architecture: "bert",
        quantization: "Q8_0",
        dimensions: 384,
        contextLength: 512,
        lastUsed: expect.any(Date),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      {
        name: "hf:o/r/sub/m-f16.gguf",
        source: "huggingface",
        path: hub,
        quantization: "F16",
        problem: "not a readable GGUF file",
      },
      { name: `https://example.org/a.gguf#sha256=${SHA}`, source: "https", path: url, dimensions: 384, sha256: SHA },
    ]);
    for (const { name, path } of models) expect((await resolveModel(name)).path).toBe(path);
  });

  it("what is damaged with its problem", async () => {
    for (const [index, bytes] of [header.subarray(0, 100), Buffer.alloc(0), mutated(header, 16)].entries()) {
      box.write(`.cache/huggingface/hub/models--o--r/snapshots/1/m${index}.gguf`, bytes);
    }
    const models = (await listModels()).filter(({ source }) => source === "huggingface");
    expect(models.map(({ problem }) => problem)).toEqual(Array(3).fill("not a readable GGUF file"));
  });

  it("the places that were searched", async () => {
    process.env.OLLAMA_MODELS = box.path("elsewhere");
    storeModel(box.path(".ollama/models"), {
      manifest: "registry.ollama.ai/library/m/latest",
      layers: [["model", "x"]],
    });
    box.write(".cache/huggingface/hub/models--o--r/snapshots/1/m.gguf", "x");
    const places = await searchedPlaces();
    expect(places).toContainEqual({
      source: "ollama",
      path: box.path("elsewhere"),
      state: "missing",
      models: 0,
      detail: "set by OLLAMA_MODELS",
    });
    expect(places).toContainEqual(
      expect.objectContaining({ path: box.path(".ollama/models"), state: "found", models: 1 }),
    );
    expect(places).toContainEqual(
      expect.objectContaining({ path: box.path(".cache/huggingface/hub"), state: "found", models: 1 }),
    );
    expect(new Set(places.map(({ source }) => source))).toEqual(
      new Set(["alias", "builtin", "ollama", "huggingface", "https"]),
    );
  });

  it("never fail on a cache that cannot be written to", async () => {
    box.write("file", "x");
    process.env.INLAY_CACHE = box.path("file/below");
    storeModel(box.path(".ollama/models"), {
      manifest: "registry.ollama.ai/library/m/latest",
      layers: [["model", "x"]],
    });
    expect((await resolveModel("m")).source).toBe("ollama");
    expect(statSync(box.path("file")).size).toBe(1);
    expect(await listModels()).toContainEqual(expect.objectContaining({ name: "m:latest", lastUsed: undefined }));
  });
});

describe("the built-in model", () => {
  it("is looked for in the package", async () => {
    const places = await searchedPlaces();
    const place = places.find(({ source }) => source === "builtin")!;
    const root = JSON.parse(readFileSync(join(place.path, "..", "..", "package.json"), "utf8"));
    expect(root.name).toBe("inlay");
    if (place.state === "found") expect(await resolveModel("builtin")).toMatchObject({ path: place.path });
    else await expect(resolveModel("builtin")).rejects.toThrow(/built-in model is not at/);
  });
});

function symlinkRelative(target: string, link: string): void {
  symlinkSync(relative(join(link, ".."), target), link);
}

function mutated(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.fill(0xff, at, at + 8);
  return copy;
}
