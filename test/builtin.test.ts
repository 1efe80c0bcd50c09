import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILTIN_MODEL, type EmbeddingModel, loadModel } from "../lib/index.ts";
import { TRIPLES } from "./support/triples.ts";

const run = promisify(execFile);

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0);
}

describe("the built-in model", () => {
  let model: EmbeddingModel;

  beforeAll(async () => {
    model = await loadModel(BUILTIN_MODEL);
  });

  afterAll(async () => {
    await model?.dispose();
  });

  async function similarity(a: string, b: string): Promise<number> {
    const { embeddings } = await model.embed([a, b]);
    return cosine(embeddings[0]!, embeddings[1]!);
  }

  it("is a bert model of 256 dimensions with a context of 2,048 tokens", () => {
    expect(model.info).toMatchObject({
      architecture: "bert",
      dimensions: 256,
      contextLength: 2048,
      vocabulary: 36_000,
      pooling: "cls",
    });
  });

  it("ranks a text that shares words or stems above an unrelated one, in many languages", async () => {
    expect(TRIPLES.length).toBeGreaterThanOrEqual(90);
    expect(new Set(TRIPLES.map(({ language }) => language)).size).toBeGreaterThanOrEqual(8);
    const { embeddings } = await model.embed(
      TRIPLES.flatMap(({ anchor, nearer, farther }) => [anchor, nearer, farther]),
    );
    const wrong = TRIPLES.filter((_, i) => {
      const [anchor, nearer, farther] = embeddings.slice(3 * i, 3 * i + 3) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      return cosine(anchor, nearer) <= cosine(anchor, farther);
    });
    expect(wrong.length, JSON.stringify(wrong)).toBeLessThanOrEqual(TRIPLES.length / 10);
  });

  it("puts inflections of a word near each other and other words far away", async () => {
    expect(await similarity("run", "runs")).toBeGreaterThan(0.5);
    expect(await similarity("run", "running")).toBeGreaterThan(0.5);
    expect(await similarity("organization", "organizing")).toBeGreaterThan(0.5);
    expect(await similarity("run", "banana")).toBeLessThan(0.3);
  });

  it("hardly hears punctuation, case, accents and stop words", async () => {
    expect(await similarity("the château on the hill!", "Chateau, hill")).toBeGreaterThan(0.9);
    expect(await similarity("the house", "the piano")).toBeLessThan(0.3);
  });

  it("does not change with the length of a repeated text", async () => {
    expect(await similarity("The blue sky.", "The blue sky. ".repeat(300))).toBeGreaterThan(0.999);
  });

  it("gives the empty text and lone punctuation a vector near no other text", async () => {
    for (const text of ["", ".", "[CLS]"]) {
      expect(Math.abs(await similarity(text, "The bank raised its interest rate"))).toBeLessThan(0.3);
    }
  });

  it("is written byte for byte the same each time, in at most 10 MB", async () => {
    const folder = await mkdtemp(join(tmpdir(), "inlay-builtin-"));
    try {
      const hashes = await Promise.all(
        ["a.gguf", "b.gguf"].map(async (name) => {
          const path = join(folder, name);
          const { stdout } = await run(process.execPath, ["native/scripts/builtin-model.mjs", path]);
          expect(stdout.trimEnd().split("\n")).toHaveLength(1);
          const bytes = await readFile(path);
          expect(bytes.length).toBeLessThanOrEqual(10_000_000);
          return createHash("sha256").update(bytes).digest("hex");
        }),
      );
      expect(hashes[0]).toBe(hashes[1]);
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 120_000);
});
