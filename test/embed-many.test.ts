import { afterAll, beforeAll, expect, test } from "vitest";
import {
  BUILTIN_MODEL,
  type EmbeddedText,
  type EmbeddingModel,
  type EmbedManyProgress,
  loadModel,
} from "../lib/index.ts";

let model: EmbeddingModel;
beforeAll(async () => {
  model = await loadModel(BUILTIN_MODEL);
});
afterAll(() => model.dispose());

function* numbered(count: number): Generator<string> {
  for (let i = 0; i < count; i++) yield `text number ${i}`;
}

async function collect(items: AsyncIterable<EmbeddedText>): Promise<EmbeddedText[]> {
  const all: EmbeddedText[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test("keeps the order and gives each text the vector it has alone", async () => {
  const items = await collect(model.embedMany(numbered(1000)));
  expect(items.map(({ index }) => index)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  const alone = (await model.embed("text number 700")).embeddings[0]!;
  expect(Buffer.from(items[700]!.embedding.buffer).equals(Buffer.from(alone.buffer))).toBe(true);
});

test("takes async sources of { id, text } and gives the ids back", async () => {
  async function* source() {
    for (const id of ["a", "b", "c"]) {
      await new Promise((resolve) => setTimeout(resolve, 15));
      yield { id, text: `text of ${id}` };
    }
  }
  const items = await collect(model.embedMany(source()));
  expect(items.map(({ id }) => id)).toEqual(["a", "b", "c"]);
});

test("a source that stalls does not hold back what it has given", async () => {
  let release!: () => void;
  const stalled = new Promise<void>((resolve) => (release = resolve));
  async function* source() {
    yield "early";
    await stalled;
    yield "late";
  }
  const iterator = model.embedMany(source())[Symbol.asyncIterator]();
  const first = await iterator.next();
  expect(first.value).toMatchObject({ index: 0 });
  release();
  expect((await iterator.next()).value).toMatchObject({ index: 1 });
  expect((await iterator.next()).done).toBe(true);
}, 10_000);

test("reads no further ahead than a few batches", async () => {
  let read = 0;
  function* source() {
    for (; ; read++) yield `endless ${read}`;
  }
  for await (const { index } of model.embedMany(source())) if (index === 10) break;
  expect(read).toBeLessThan(256 * 5);
});

test("ends the source when the reader leaves", async () => {
  let ended = false;
  async function* source() {
    try {
      for (let i = 0; ; i++) yield `endless ${i}`;
    } finally {
      ended = true;
    }
  }
  for await (const _ of model.embedMany(source())) break;
  expect(ended).toBe(true);
});

test("reports progress", async () => {
  const seen: EmbedManyProgress[] = [];
  await collect(model.embedMany(numbered(600), { onProgress: (progress) => seen.push(progress) }));
  expect(seen.at(-1)).toMatchObject({ texts: 600 });
  expect(seen.at(-1)!.tokens).toBeGreaterThan(600);
});

test("startIndex skips what was done before", async () => {
  const items = await collect(model.embedMany(numbered(20), { startIndex: 15 }));
  expect(items.map(({ index }) => index)).toEqual([15, 16, 17, 18, 19]);
});

test('onError: "throw" ends with the first failure, "yield" gives it in its place', async () => {
  const texts = ["fine", "much too long ".repeat(3000), "fine as well"];
  await expect(collect(model.embedMany(texts, { truncate: false }))).rejects.toMatchObject({
    code: "ERR_INPUT_TOO_LONG",
  });
  const items = await collect(model.embedMany(texts, { truncate: false, onError: "yield" }));
  expect(items.map(({ error }) => error?.code)).toEqual([undefined, "ERR_INPUT_TOO_LONG", undefined]);
  expect(items[1]!.embedding).toHaveLength(0);
  expect(items[2]!.embedding).toHaveLength(model.info.dimensions);
});

test("an abort ends the iteration with the signal's reason", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const run = async () => {
    for await (const { index } of model.embedMany(numbered(100_000), { signal: controller.signal })) {
      if (index === 300) controller.abort(reason);
    }
  };
  await expect(run()).rejects.toBe(reason);
});

test("many short texts stream in bounded memory", async () => {
  const count = process.env.INLAY_LONG ? 1_000_000 : 20_000;
  let peak = 0;
  let early = 0;
  for await (const { index } of model.embedMany(numbered(count), { dimensions: 8 })) {
    if (index % 1000 > 0) continue;
    const { rss } = process.memoryUsage();
    if (index <= count / 4) early = Math.max(early, rss);
    else peak = Math.max(peak, rss);
  }
  // What has warmed up by a quarter of the way is what it takes; half as much again is allowed for the collector.
  expect(peak).toBeLessThan(early * 1.5);
}, 600_000);
