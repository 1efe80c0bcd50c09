import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUILTIN_MODEL, type EmbeddingModel, embed, InlayError, loadModel, models, unload } from "../lib/index.ts";

let model: EmbeddingModel;
beforeAll(async () => {
  model = await loadModel(BUILTIN_MODEL);
});
afterAll(() => model.dispose());

const bytes = (vector: Float32Array) => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);

describe("a result", () => {
  test("has one row per text, all views on one buffer that JavaScript allocated", async () => {
    const { embeddings, tokens } = await model.embed(["one", "two", "three"]);
    expect(embeddings).toHaveLength(3);
    expect(new Set(embeddings.map(({ buffer }) => buffer)).size).toBe(1);
    expect(embeddings[0]!.buffer.byteLength).toBe(3 * 4 * model.info.dimensions);
    expect(tokens).toHaveLength(3);
  });

  test("is normalised to 1 within 1e-6", async () => {
    for (const row of (await model.embed(["a", "", "longer text with several words", "日本語"])).embeddings) {
      expect(Math.abs(Math.hypot(...row) - 1)).toBeLessThanOrEqual(1e-6);
    }
  });

  test("of [] is []", async () => {
    const { embeddings, tokens, truncated } = await model.embed([]);
    expect([embeddings, [...tokens], truncated]).toEqual([[], [], []]);
  });

  test("keeps the values when a later call runs", async () => {
    const first = await model.embed("kept");
    const copy = Buffer.from(bytes(first.embeddings[0]!));
    await model.embed(["other", "texts"]);
    expect(bytes(first.embeddings[0]!).equals(copy)).toBe(true);
  });
});

describe("texts", () => {
  test("the empty string is its special tokens", async () => {
    const { tokens } = await model.embed("");
    expect(tokens[0]).toBe((await model.tokenize("")).length);
    expect(Number.isFinite((await model.embed("")).embeddings[0]![0])).toBe(true);
  });

  test("a lone surrogate counts as U+FFFD", async () => {
    const [lone, replaced] = (await model.embed(["a\ud800b", "a\ufffdb"])).embeddings;
    expect(bytes(lone!).equals(bytes(replaced!))).toBe(true);
  });

  test("NUL does not end a text", async () => {
    const ids = await model.tokenize("before\0 after");
    expect(ids.length).toBeGreaterThan((await model.tokenize("before")).length);
  });

  test("literal special tokens stay text, unless asked for", async () => {
    const plain = await model.tokenize("a [SEP] b");
    const parsed = await model.tokenize("a [SEP] b", { parseSpecial: true });
    expect(parsed.length).toBeLessThan(plain.length);
    expect((await model.embed("a [SEP] b")).tokens[0]).toBe(plain.length);
    expect((await model.embed("a [SEP] b", { parseSpecial: true })).tokens[0]).toBe(parsed.length);
  });

  test("the array is read when the call is made", async () => {
    const texts = ["first", "second"];
    const pending = model.embed(texts);
    texts[0] = "changed";
    const [row] = (await pending).embeddings;
    expect(bytes(row!).equals(bytes((await model.embed("first")).embeddings[0]!))).toBe(true);
  });

  test.each([
    ["a number", [1]],
    ["null", ["a", null]],
    ["a hole", new Array(1)],
    ["an object", [{}]],
  ])("%s among them is ERR_INPUT_INVALID with its index", async (_, texts) => {
    const index = texts.findIndex((text) => typeof text !== "string");
    await expect(model.embed(texts as string[])).rejects.toMatchObject({ code: "ERR_INPUT_INVALID", index });
  });

  test("that throw when they are read are ERR_INPUT_INVALID", async () => {
    const hostile = new Proxy(["a"], {
      get() {
        throw new Error("hostile");
      },
    });
    await expect(model.embed(hostile)).rejects.toMatchObject({ code: "ERR_INPUT_INVALID" });
  });

  test("a long one takes linear time and is cut", async () => {
    const { truncated, tokens } = await model.embed("word ".repeat(200_000));
    expect(truncated).toEqual([0]);
    expect(tokens[0]).toBe(model.info.contextLength);
  });
});

describe("truncation", () => {
  const long = Array.from({ length: 3000 }, (_, i) => `w${i}`).join(" ");

  test("keeps the head and the special tokens, exactly", async () => {
    const short = await loadModel(BUILTIN_MODEL, { contextLength: 10 });
    const { tokens, truncated } = await short.embed([long, "short"]);
    expect([...tokens]).toEqual([10, (await model.tokenize("short")).length]);
    expect(truncated).toEqual([0]);
    const ids = await model.tokenize(long, { addSpecial: false });
    const [cut] = (await short.embed(long)).embeddings;
    const [head] = (await model.embedTokens([ids.subarray(0, 8)])).embeddings;
    expect(bytes(cut!).equals(bytes(head!))).toBe(true);
    await short.dispose();
  });

  test("refused: ERR_INPUT_TOO_LONG with index, tokens and limit", async () => {
    const tokens = await model.countTokens(long);
    await expect(model.embed(["a", long], { truncate: false })).rejects.toMatchObject({
      code: "ERR_INPUT_TOO_LONG",
      index: 1,
      tokens,
      limit: model.info.contextLength,
    });
  });

  test("a context without room for the special tokens is ERR_INPUT_INVALID", async () => {
    const none = await loadModel(BUILTIN_MODEL, { contextLength: 1 });
    await expect(none.embed("a")).rejects.toMatchObject({ code: "ERR_INPUT_INVALID" });
    await none.dispose();
  });

  test("pooledLong gives the mean of the pieces instead", async () => {
    const short = await loadModel(BUILTIN_MODEL, { contextLength: 12 });
    const result = await short.embed([long, "a b"], { pooledLong: "mean" });
    expect(result.truncated).toEqual([]);
    expect(Math.abs(Math.hypot(...result.embeddings[0]!) - 1)).toBeLessThanOrEqual(1e-6);
    expect(bytes(result.embeddings[1]!).equals(bytes((await model.embed("a b")).embeddings[0]!))).toBe(true);
    await short.dispose();
  });
});

describe("dimensions", () => {
  test("keeps the first n, normalised again", async () => {
    const [whole] = (await model.embed("cut me")).embeddings;
    const [cut] = (await model.embed("cut me", { dimensions: 16 })).embeddings;
    const norm = Math.hypot(...whole!.subarray(0, 16));
    expect(cut).toHaveLength(16);
    for (const [i, value] of cut!.entries()) expect(value).toBeCloseTo(whole![i]! / norm, 6);
  });

  test.each([0, -1, 1.5, 1e9, Number.NaN, "16"])("%s is ERR_INPUT_INVALID", async (dimensions) => {
    await expect(model.embed("a", { dimensions: dimensions as number })).rejects.toMatchObject({
      code: "ERR_INPUT_INVALID",
    });
  });

  test("normalize: false leaves the pooled values", async () => {
    const [raw] = (await model.embed("raw", { normalize: false })).embeddings;
    const [unit] = (await model.embed("raw")).embeddings;
    const norm = Math.hypot(...raw!);
    for (const [i, value] of unit!.entries()) expect(value).toBeCloseTo(raw![i]! / norm, 5);
  });
});

describe("embed()", () => {
  test("answers as Ollama's schema has it", async () => {
    const response = await embed({ model: BUILTIN_MODEL, input: ["a", "b c"] });
    expect(response).toMatchObject({ model: BUILTIN_MODEL, truncated: [], fingerprint: model.info.fingerprint });
    expect(response.embeddings).toHaveLength(2);
    expect(response.prompt_eval_count).toBe((await model.countTokens(["a", "b c"])).reduce((x, y) => x + y));
    expect(response.total_duration).toBeGreaterThanOrEqual(response.load_duration);
  });

  test("takes num_ctx as a limit without loading the model again", async () => {
    const before = models().length;
    const response = await embed({
      model: BUILTIN_MODEL,
      input: "one two three four five six",
      options: { num_ctx: 5 },
    });
    expect(response.prompt_eval_count).toBe(5);
    expect(response.truncated).toEqual([0]);
    expect(models()).toHaveLength(before);
  });

  test("ignores options it does not know, refuses wrong types", async () => {
    const request = { model: BUILTIN_MODEL, input: "a" };
    await expect(embed({ ...request, options: { temperature: 0.5, mirostat: 1 } })).resolves.toBeDefined();
    await expect(embed({ ...request, options: { num_ctx: "9" as unknown as number } })).rejects.toMatchObject({
      code: "ERR_INPUT_INVALID",
    });
    await expect(embed({ ...request, keep_alive: "soon" })).rejects.toMatchObject({ code: "ERR_INPUT_INVALID" });
    await expect(embed({ ...request, truncate: 1 as unknown as boolean })).rejects.toMatchObject({
      code: "ERR_INPUT_INVALID",
    });
  });

  test("names what is wrong with the model's name", async () => {
    await expect(embed({ model: "/no/such/model.gguf", input: "a" })).rejects.toMatchObject({
      code: "ERR_MODEL_NOT_FOUND",
    });
    await expect(embed({ model: "", input: "a" })).rejects.toMatchObject({ code: "ERR_INPUT_INVALID" });
  });
});

describe("errors", () => {
  test("carry the caller's stack", async () => {
    const error = await model.embed("word ".repeat(5000), { truncate: false }).catch((caught: InlayError) => caught);
    expect(error).toBeInstanceOf(InlayError);
    expect((error as InlayError).stack).toContain("jobs.ts");
  });

  test("after dispose every method answers ERR_DISPOSED, and dispose again is fine", async () => {
    const handle = await loadModel(BUILTIN_MODEL);
    await handle.dispose();
    await handle.dispose();
    await expect(handle.embed("a")).rejects.toMatchObject({ code: "ERR_DISPOSED" });
    await expect(handle.tokenize("a")).rejects.toMatchObject({ code: "ERR_DISPOSED" });
    expect((await model.embed("a")).embeddings).toHaveLength(1);
  });

  test("a call that was made before dispose() gets its result", async () => {
    const handle = await loadModel(BUILTIN_MODEL, { tokenizer: "llama" });
    const call = handle.embed(["a", "b"]);
    const disposing = handle.dispose();
    expect((await call).embeddings).toHaveLength(2);
    await disposing;
  });

  test("after unload() a handle answers ERR_DISPOSED", async () => {
    const handle = await loadModel(BUILTIN_MODEL, { engine: "ggml" });
    const own = handle.info;
    expect(own.engine).toBe("ggml");
    await unload(BUILTIN_MODEL);
    await expect(handle.embed("a")).rejects.toMatchObject({ code: "ERR_DISPOSED" });
    await handle.dispose();
    model = await loadModel(BUILTIN_MODEL);
  });
});
