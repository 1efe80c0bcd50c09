import { pbkdf2 } from "node:crypto";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { BUILTIN_MODEL, loadModel } from "../lib/index.ts";
import { manyTexts } from "./fixtures/texts.mjs";

const derive = promisify(pbkdf2);

test("while texts are embedded, libuv's pool and the event loop go on", async () => {
  const model = await loadModel(BUILTIN_MODEL);
  const job = model.embed(manyTexts(4_000));
  let done = false;
  job.finally(() => {
    done = true;
  });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  let stats = 0;
  let keys = 0;
  const statLoop = (async () => {
    for (; !done; stats++) await stat("/");
  })();
  const keyLoop = (async () => {
    for (; !done; keys++) await derive("password", "salt", 100, 32, "sha256");
  })();
  await Promise.all([job, statLoop, keyLoop]);
  clearInterval(timer);
  await model.dispose();
  expect(stats).toBeGreaterThan(5);
  expect(keys).toBeGreaterThan(5);
  expect(ticks).toBeGreaterThan(5);
});

test("handing over a hundred thousand texts, the event loop turns many times before the job is done", async () => {
  const model = await loadModel(BUILTIN_MODEL);
  const controller = new AbortController();
  let settled = false;
  const job = model
    .embed(manyTexts(100_000), { signal: controller.signal })
    .catch(() => {})
    .finally(() => {
      settled = true;
    });
  let turns = 0;
  for (; turns < 20 && !settled; turns++) await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  await job;
  await model.dispose();
  expect(turns).toBe(20);
});

test("a burst of two thousand calls leaves turns to timers before it is done", async () => {
  const model = await loadModel(BUILTIN_MODEL);
  await model.embed("warm");
  let settled = false;
  const calls = Promise.all(manyTexts(2_000).map((text) => model.embed(text))).then(() => {
    settled = true;
  });
  let ticks = 0;
  for (; ticks < 3 && !settled; ticks++) await new Promise((resolve) => setTimeout(resolve, 1));
  await calls;
  await model.dispose();
  expect(ticks).toBe(3);
});
