import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { array, bool, f32, fromHalf, Gguf, string, type TensorType, toHalf, u32, writeGguf } from "./support/gguf.ts";
import { goldenModel, goldenNames, hasReference } from "./support/golden.ts";
import { distance, referenceEmbedding } from "./support/reference.ts";
import { makeModel, random } from "./support/synthetic.ts";

// The golden vectors are rounded to float32, which alone costs about 1e-15.
const FLOAT64 = 1e-13;

describe.skipIf(!hasReference)("the reference forward pass gives the golden vectors", () => {
  test.each(goldenNames)("%s", { timeout: 300_000 }, (name) => {
    const { path, texts } = goldenModel(name);
    const model = new Gguf(path);
    try {
      expect(texts.length).toBeGreaterThanOrEqual(12);
      for (const golden of texts) {
        const own = referenceEmbedding(model, golden.ids);
        expect(distance(own, golden.embedding), golden.name).toBeLessThan(FLOAT64);
        if (golden.embedding_tanh_gelu) {
          const tanh = referenceEmbedding(model, golden.ids, { gelu: "tanh" });
          expect(distance(tanh, golden.embedding_tanh_gelu), `${golden.name}, tanh`).toBeLessThan(FLOAT64);
        }
        if (golden.ids_hf) {
          const original = referenceEmbedding(model, golden.ids_hf);
          expect(distance(original, golden.embedding_hf!), `${golden.name}, original ids`).toBeLessThan(FLOAT64);
        }
      }
    } finally {
      model.close();
    }
  });
});

describe("the tests' own model files", () => {
  test("every binary16 number comes back from its value", () => {
    for (let half = 0; half < 65536; half++) {
      const value = fromHalf(half);
      if (!Number.isNaN(value)) expect(toHalf(value)).toBe(half);
    }
    // Ties go to the even neighbour.
    expect(fromHalf(toHalf(1 + 2 ** -11))).toBe(1);
    expect(fromHalf(toHalf(1 + 3 * 2 ** -11))).toBe(1 + 2 ** -9);
  });

  // Half a step of the type, relative to the largest value of a block.
  const PRECISION: Record<TensorType, number> = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8, q8_0: 1 / 250, q4_0: 1 / 8 };

  test.each(Object.entries(PRECISION) as [TensorType, number][])(
    "%s tensors are read as written",
    (type, precision) => {
      const next = random(5);
      const values = Float32Array.from({ length: 64 * 7 }, () => next() / 2 ** 31 - 1);
      const folder = mkdtempSync(join(tmpdir(), "inlay-gguf-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const path = join(folder, "written.gguf");
      const metadata = new Map([
        ["a.number", u32(4_000_000_000)],
        ["a.fraction", f32(0.5)],
        ["a.truth", bool(true)],
        ["a.text", string("Grüße\0🦙")],
        ["a.list", array("string", ["", "x", "日本"])],
        ["a.row", array("f32", [1, -2.5])],
      ]);
      const fill = (out: Float32Array, offset: number) => out.set(values.subarray(offset, offset + out.length));
      writeGguf(path, metadata, [
        { name: "odd", shape: [3], type: "f32", fill: (out) => out.fill(1.25) },
        { name: "matrix", shape: [64, 7], type, fill },
      ]);
      const file = new Gguf(path);
      onTestFinished(() => file.close());
      expect(file.keys.map((key) => file.get(key))).toEqual([
        4_000_000_000,
        0.5,
        true,
        "Grüße\0🦙",
        ["", "x", "日本"],
        [1, -2.5],
      ]);
      expect(Array.from(file.tensor("odd"))).toEqual([1.25, 1.25, 1.25]);
      const read = file.tensor("matrix");
      values.forEach((value, i) => void expect(Math.abs(read[i]! - value)).toBeLessThanOrEqual(precision));
      expect(file.row("matrix", 6)).toEqual(read.subarray(6 * 64));
    },
  );

  test("the same spec gives the same file, another seed other weights", async () => {
    const spec = { architecture: "bert", dim: 32, layers: 1 } as const;
    expect(await makeModel({ ...spec, seed: 1 })).toBe(await makeModel(spec));
    const [one, two] = [new Gguf(await makeModel(spec)), new Gguf(await makeModel({ ...spec, seed: 2 }))];
    expect(one.row("token_embd.weight", 7)).not.toEqual(two.row("token_embd.weight", 7));
    one.close();
    two.close();
  });
});
