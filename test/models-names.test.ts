import { describe, expect, it } from "vitest";
import { parseName } from "../lib/models/names.ts";
import { parseOllamaName } from "../lib/models/ollama.ts";
import { chooseFile, quantizationOf } from "../lib/models/quantization.ts";

const SHA = "ab".repeat(32);

describe("the kind of a name", () => {
  it.each([
    ["builtin", "builtin"],
    ["./model", "path"],
    ["../model", "path"],
    ["/models/a b.bin", "path"],
    ["~/models/a", "path"],
    ["C:\\models\\a", "path"],
    ["model.gguf", "path"],
    ["folder/model.GGUF", "path"],
    ["file:///models/a.gguf", "path"],
    ["hf:owner/repo", "huggingface"],
    ["hf.co/owner/repo:Q8_0", "huggingface"],
    ["huggingface.co/owner/repo", "huggingface"],
    ["https://huggingface.co/owner/repo/blob/main/a.gguf", "huggingface"],
    [`https://example.org/a.gguf#sha256=${SHA}`, "https"],
    [`https://huggingface.co/owner/repo/resolve/main/a.gguf#sha256=${SHA}`, "https"],
    ["all-minilm", "plain"],
    ["all-minilm:l6-v2", "plain"],
    ["chroma/all-minilm-l6-v2-f32", "plain"],
    ["registry.example.org:5000/team/model:tag", "plain"],
  ])("%s is %s", (name, kind) => {
    expect(parseName(name).kind).toBe(kind);
  });

  it("reads the parts of a hub name", () => {
    const reference = (name: string) => (parseName(name) as { reference: unknown }).reference;
    expect(reference("hf:owner/repo")).toEqual({ repo: "owner/repo" });
    expect(reference("hf:owner/repo:Q8_0")).toEqual({ repo: "owner/repo", quantization: "Q8_0" });
    expect(reference("hf:owner/repo/sub/a.gguf")).toEqual({ repo: "owner/repo", file: "sub/a.gguf" });
    expect(reference("hf:owner/repo@v1/a.gguf")).toEqual({ repo: "owner/repo", revision: "v1", file: "a.gguf" });
    expect(reference("hf.co/owner/repo:latest")).toEqual({ repo: "owner/repo" });
    expect(reference("https://huggingface.co/owner/repo/resolve/dev/a.gguf?download=true")).toEqual({
      repo: "owner/repo",
      revision: "dev",
      file: "a.gguf",
    });
    expect(reference("https://hf.co/owner/repo/tree/main")).toEqual({ repo: "owner/repo" });
  });
});

describe("what can be no name", () => {
  it.each([
    ["nothing", ""],
    ["a NUL", "all-minilm\0"],
    ["a NUL in a path", "/models/a\0.gguf"],
    ["a NUL in a file URL", "file:///models/a%00.gguf"],
    ["a line break", "all\nminilm"],
    ["one without an end", "a".repeat(5000)],
    ["a file URL with a host", "file://server/models/a.gguf"],
    ["a repository without an owner", "hf:repo"],
    ["a repository that climbs", "hf:../../etc"],
    ["a repository called ..", "hf:owner/.."],
    ["a file that climbs", "hf:owner/repo/../../a.gguf"],
    ["a file in a folder called ..", "hf:owner/repo/x/../a.gguf"],
    ["a backslash in a file", "hf:owner/repo/..\\a.gguf"],
    ["a device as a file", "hf:owner/repo/NUL.gguf"],
    ["a device as a repository", "hf:owner/con"],
    ["the cache's own separator", "hf:owner/re--po"],
    ["a file that is no GGUF", "hf:owner/repo/model.safetensors"],
    ["a quantisation that is a path", "hf:owner/repo:.."],
    ["a URL without a hash", "https://example.org/a.gguf"],
    ["a URL with half a hash", "https://example.org/a.gguf#sha256=abcd"],
    ["plain http", `http://example.org/a.gguf#sha256=${SHA}`],
    ["a URL with a password", `https://user:secret@example.org/a.gguf#sha256=${SHA}`],
    ["another scheme", "ftp://example.org/a"],
  ])("%s", (_, name) => {
    expect(() => parseName(name)).toThrow(expect.objectContaining({ code: "ERR_NAME_INVALID" }));
  });

  it("does not repeat a password", () => {
    expect(() => parseName("https://user:secret@example.org/a.gguf")).toThrow(/user or password/);
  });
});

describe("Ollama's grammar", () => {
  const REGISTRY = "registry.ollama.ai";
  it.each([
    ["all-minilm", [REGISTRY, "library", "all-minilm", "latest"]],
    ["all-minilm:l6-v2", [REGISTRY, "library", "all-minilm", "l6-v2"]],
    ["all-minilm:local", [REGISTRY, "library", "all-minilm", "latest"]],
    ["chroma/all-minilm-l6-v2-f32", [REGISTRY, "chroma", "all-minilm-l6-v2-f32", "latest"]],
    ["hf.co/Qwen/Qwen3-Embedding-0.6B-GGUF:Q8_0", ["hf.co", "Qwen", "Qwen3-Embedding-0.6B-GGUF", "Q8_0"]],
    ["localhost:5000/team/model", ["localhost:5000", "team", "model", "latest"]],
    ["https://localhost:5000/team/model:a", ["localhost:5000", "team", "model", "a"]],
    ["_m.1-x", [REGISTRY, "library", "_m.1-x", "latest"]],
    ["m".repeat(80), [REGISTRY, "library", "m".repeat(80), "latest"]],
  ])("%s", (name, [host, namespace, model, tag]) => {
    expect(parseOllamaName(name)).toEqual({ host, namespace, model, tag });
  });

  it.each([
    "",
    ":tag",
    "model:",
    "/model",
    "a//model",
    "-model",
    ".model",
    "name.space/model",
    "a/b/c/d",
    "model:a/b",
    "mo del",
    "../model",
    "m".repeat(81),
    "model:con",
  ])("refuses %j", (name) => {
    expect(parseOllamaName(name)).toBeUndefined();
  });
});

describe("the choice of a file", () => {
  it.each([
    ["bge-small-en-v1.5-q8_0.gguf", "Q8_0"],
    ["nomic-embed-text-v1.5.Q4_K_M.gguf", "Q4_K_M"],
    ["Qwen3-Embedding-0.6B-f16.gguf", "F16"],
    ["bge-m3-FP16.gguf", "F16"],
    ["model-BF16.gguf", "BF16"],
    ["model.IQ4_XS.gguf", "IQ4_XS"],
    ["gguf/mxbai-embed-large-v1-f16.gguf", "F16"],
    ["model.gguf", undefined],
    ["q8_model.gguf", undefined],
  ])("%s is of %s", (file, quantization) => {
    expect(quantizationOf(file)).toBe(quantization);
  });

  const files = ["m-f32.gguf", "m-f16.gguf", "m-q4_k_m.gguf", "m-q8_0.gguf", "mmproj-m-q8_0.gguf", "README.md"];

  it("prefers Q8_0, then F16, where none is asked for", () => {
    expect(chooseFile(files, "o/r")).toBe("m-q8_0.gguf");
    expect(chooseFile(["m-f32.gguf", "m-f16.gguf", "m-q4_k_m.gguf"], "o/r")).toBe("m-f16.gguf");
    expect(chooseFile(["only.gguf"], "o/r")).toBe("only.gguf");
  });

  it("takes the quantisation asked for, in either case", () => {
    expect(chooseFile(files, "o/r", "q4_K_M")).toBe("m-q4_k_m.gguf");
    expect(chooseFile(files, "o/r", "fp16")).toBe("m-f16.gguf");
  });

  it("does not depend on the order of the listing", () => {
    expect(chooseFile([...files].reverse(), "o/r")).toBe("m-q8_0.gguf");
  });

  it("says what there is where the quantisation is not", () => {
    expect(() => chooseFile(files, "o/r", "Q2_K")).toThrow(/o\/r has no file of quantisation Q2_K.*F32, F16, Q4_K_M/);
  });

  it("refuses models in parts and repositories without a model", () => {
    const parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
    expect(() => chooseFile(parts, "o/r")).toThrow(expect.objectContaining({ code: "ERR_MODEL_UNSUPPORTED" }));
    expect(() => chooseFile(["a.bin"], "o/r")).toThrow(expect.objectContaining({ code: "ERR_MODEL_NOT_FOUND" }));
  });
});
