import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { catalogueReference, findInCatalogue } from "../lib/models/catalogue.ts";
import { catalogue } from "../lib/models/index.ts";
import { parseName } from "../lib/models/names.ts";
import { parseOllamaName } from "../lib/models/ollama.ts";
import { chooseFile, quantizationOf } from "../lib/models/quantization.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const repository = v.pipe(v.string(), v.regex(/^[A-Za-z0-9-]+\/[A-Za-z0-9._-]+$/));
const entrySchema = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]*$/)),
  otherNames: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.:-]*$/))), v.minLength(1))),
  repository,
  files: v.optional(
    v.record(
      v.pipe(v.string(), v.regex(/^(I?Q\d_[0-9A-Z_]+|B?F16|F32)$/)),
      v.strictObject({
        path: v.pipe(v.string(), v.regex(/^[\w./-]+\.gguf$/i)),
        megabytes: v.optional(v.pipe(v.number(), v.minValue(1))),
      }),
    ),
  ),
  original: repository,
  dimensions: v.pipe(count, v.maxValue(8192)),
  cutTo: v.optional(v.pipe(v.array(count), v.minLength(1))),
  cutFrom: v.optional(count),
  contextLength: v.optional(v.pipe(count, v.minValue(128), v.maxValue(131072))),
  pooling: v.picklist(["mean", "cls", "last"]),
  prompts: v.optional(v.record(v.pipe(v.string(), v.regex(/^[a-z]+$/)), v.string())),
  licence: v.picklist(["Apache-2.0", "MIT", "CC-BY-NC-4.0", "Gemma Terms of Use"]),
  languages: v.pipe(v.string(), v.minLength(1)),
  parameters: v.optional(v.pipe(v.number(), v.minValue(1))),
});

describe("the catalogue", () => {
  it.each(catalogue.map((entry) => [entry.name, entry] as const))("%s keeps to the schema", (_, entry) => {
    expect(v.safeParse(entrySchema, entry).issues).toBeUndefined();
    expect(entry.cutTo ?? []).toEqual([...(entry.cutTo ?? [])].sort((a, b) => a - b));
    expect(entry.cutTo?.at(-1) ?? 0).toBeLessThan(entry.dimensions);
    if (entry.prompts !== undefined) expect(Object.keys(entry.prompts)).toEqual(expect.arrayContaining(["query"]));
  });

  it.each(catalogue.map((entry) => [entry.name, entry] as const))("%s has names that lead to it", (_, entry) => {
    for (const name of [entry.name, ...(entry.otherNames ?? [])]) {
      expect(parseName(name).kind).toBe("plain");
      expect(parseOllamaName(name)).toBeDefined();
      expect(findInCatalogue(name)?.entry).toBe(entry);
      expect(findInCatalogue(`${name}:latest`.replace(/:([^:]+):latest$/, ":$1"))?.entry).toBe(entry);
    }
    expect(findInCatalogue(entry.name.toUpperCase())?.entry).toBe(entry);
    expect(catalogueReference(entry.name)).toEqual({ repo: entry.repository });
    expect(catalogueReference(`${entry.name}:q8_0`)).toEqual({ repo: entry.repository, quantization: "Q8_0" });
  });

  it("has each name once", () => {
    const names = catalogue.flatMap(({ name, otherNames = [] }) => [name, ...otherNames]);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it("names files as their quantisations are told and chosen", () => {
    for (const { repository, files = {} } of catalogue) {
      const paths = Object.values(files).map(({ path }) => path);
      for (const [quantization, { path }] of Object.entries(files)) {
        expect(quantizationOf(path)).toBe(quantization);
        expect(chooseFile(paths, repository, quantization)).toBe(path);
      }
    }
  });

  it("gives larger files to larger quantisations", () => {
    for (const { files = {} } of catalogue) {
      const size = (quantization: string) => files[quantization]?.megabytes;
      const order = ["F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"].map(size).filter((bytes) => bytes !== undefined);
      expect(order).toEqual([...order].sort((a, b) => b - a));
    }
  });

  it("understands Ollama's tags with a quantisation", () => {
    expect(catalogueReference("qwen3-embedding:0.6b-fp16")).toEqual({
      repo: "Qwen/Qwen3-Embedding-0.6B-GGUF",
      quantization: "F16",
    });
    expect(catalogueReference("bge-m3:567m-fp16")).toEqual({ repo: "gpustack/bge-m3-GGUF", quantization: "F16" });
    expect(catalogueReference("bge-m3:nonsense")).toBeUndefined();
    expect(catalogueReference("nothing")).toBeUndefined();
  });
});
