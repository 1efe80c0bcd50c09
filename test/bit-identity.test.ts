// Promise: one text gives one bit pattern, alone or in any batch, any order, any number of threads, under any load.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EmbeddingModel, type LoadOptions, loadModel } from "../lib/index.ts";
import { type ModelSpec, makeModel, random } from "./support/synthetic.ts";
import { TEXTS } from "./support/texts.ts";

const ARRANGEMENTS = 50;
const THREADS = [1, 2, 4];

const SPECS: ModelSpec[] = [
  { architecture: "bert", dim: 96, heads: 3, ffn: 200, weights: "f16" },
  { architecture: "nomic-bert", dim: 64, heads: 4, weights: "q8_0" },
  { architecture: "gemma-embedding", dim: 64, heads: 2, kvHeads: 1, window: 16, weights: "f32" },
  // With the smaller vocabulary, because ggml computes every token's logits for decoders.
  { architecture: "qwen3", vocabulary: "llama-spm", dim: 64, heads: 4, weights: "bf16" },
];
const ENGINES: LoadOptions[] = [
  { engine: "ggml", device: "cpu" },
  { engine: "fused" },
  { engine: "fused", precision: "int8" },
];

const CONTEXT = 2048;
/** From special tokens only to nearly the whole context, long enough that a lone one may be split over threads. */
const texts = [...TEXTS, ...[2, 20, 80, 380].map((times) => "one more word about rivers ".repeat(times))];

for (const engine of ENGINES) {
  describe.each(SPECS)(`${Object.values(engine).join(" ")}, $architecture`, (spec) => {
    const models: EmbeddingModel[] = [];
    let alone: Buffer[];

    beforeAll(async () => {
      const path = await makeModel({ ...spec, layers: 2, context: CONTEXT, seed: 11 });
      for (const threads of THREADS) models.push(await loadModel(path, { ...engine, threads }));
      alone = [];
      for (const text of texts) alone.push(bytes((await models[0]!.embed(text)).embeddings[0]!));
    });
    afterAll(() => Promise.all(models.map((model) => model.dispose())));

    test("different texts give different bits", () => {
      expect(new Set(alone.map((row) => row.toString("hex"))).size).toBe(texts.length);
    });

    test(`${ARRANGEMENTS} random arrangements of batches, orders, threads and concurrent calls give the same bits`, {
      timeout: 300_000,
    }, async () => {
      const next = random(42);
      const below = (n: number) => next() % n;
      for (let arrangement = 0; arrangement < ARRANGEMENTS; arrangement++) {
        const calls = Array.from({ length: 1 + below(4) }, () => ({
          model: models[below(models.length)]!,
          // The last text is longer than all others together: now and then is enough.
          picks: Array.from({ length: 1 + below(12) }, () => below(texts.length - (arrangement % 10 ? 1 : 0))),
          priority: below(2) ? ("bulk" as const) : ("interactive" as const),
        }));
        const results = await Promise.all(
          calls.map(({ model, picks, priority }) =>
            model.embed(
              picks.map((pick) => texts[pick]!),
              { priority },
            ),
          ),
        );
        for (const [c, { picks }] of calls.entries()) {
          for (const [i, pick] of picks.entries()) {
            const row = bytes(results[c]!.embeddings[i]!);
            if (!row.equals(alone[pick]!)) {
              expect.fail(`arrangement ${arrangement}, call ${c}: text ${pick} at ${i} of [${picks}] has other bits`);
            }
          }
        }
      }
    });

    test("a stream and texts tokenised beforehand give the same bits", async () => {
      const model = models[1]!;
      let count = 0;
      for await (const { index, embedding } of model.embedMany(texts)) {
        expect(bytes(embedding).equals(alone[index]!), `text ${index}`).toBe(true);
        count++;
      }
      expect(count).toBe(texts.length);
      const ids = await Promise.all(texts.map((text) => model.tokenize(text, { addSpecial: false })));
      const { embeddings } = await model.embedTokens(ids);
      for (const [i, row] of embeddings.entries()) expect(bytes(row).equals(alone[i]!), `text ${i}`).toBe(true);
    });

    test("equal fingerprints promise equal bits", async () => {
      const results = await Promise.all(models.map((model) => model.embed(texts[3]!)));
      expect(new Set(results.map(({ fingerprint }) => fingerprint)).size).toBe(1);
      for (const { embeddings } of results) expect(bytes(embeddings[0]!).equals(alone[3]!)).toBe(true);
    });
  });
}

function bytes(row: Float32Array): Buffer {
  return Buffer.from(row.buffer, row.byteOffset, row.byteLength);
}
