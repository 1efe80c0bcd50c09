import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadModel } from "../lib/index.ts";
import { makeModel } from "./support/synthetic.ts";

let folder: string;
let good: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "inlay-trust-"));
  good = await makeModel({ architecture: "bert", layers: 1, dim: 32, heads: 2 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function altered(name: string, alter: (bytes: Buffer) => Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, alter(await readFile(good)));
  return path;
}

test("a good file that nobody vouches for loads after its trial", async () => {
  const model = await loadModel(good, { trust: "untrusted" });
  expect((await model.embed("a")).embeddings).toHaveLength(1);
  await model.dispose();
});

test.each(["fused", "ggml"] as const)(
  "weights that are not finite are refused by both ways of loading, %s",
  async (engine) => {
    const path = await altered(`nan-${engine}.gguf`, (bytes) => {
      bytes.writeUInt32LE(0x7fc00000, bytes.length - 64);
      return bytes;
    });
    for (const trust of ["trusted", "untrusted"] as const) {
      await expect(loadModel(path, { trust, engine })).rejects.toMatchObject({ code: "ERR_MODEL_INVALID" });
    }
  },
);

test("a truncated file is refused with the rule it breaks", async () => {
  const path = await altered("short.gguf", (bytes) => bytes.subarray(0, bytes.length - 1000));
  const error = await loadModel(path, { trust: "untrusted" }).catch((caught) => caught);
  expect(error).toMatchObject({ code: "ERR_MODEL_INVALID", rule: expect.stringMatching(/^GGUF_/) });
});

test("a trial can be aborted", async () => {
  const controller = new AbortController();
  const reason = new Error("no time");
  const load = loadModel(good, { trust: "untrusted", tokenizer: "llama", signal: controller.signal });
  setTimeout(() => controller.abort(reason), 10);
  await expect(load).rejects.toBe(reason);
});
