import { describe, expect, test } from "vitest";
import { runFixture } from "./support/child.ts";

/** How the process may be left in mid-job, and the exit code it must have then. */
const WAYS = { exit: 7, throw: 8, dispose: 9, unload: 10, abort: 11, end: 12 };

describe.each(["fused", "ggml"])("a process that ends in mid-job, %s engine", (engine) => {
  test.each(Object.entries(WAYS))("%s: exit code as given, no signal, nothing on stderr", async (way, code) => {
    expect(await runFixture("end-in-mid-job.mjs", [way, engine])).toEqual({
      code,
      signal: null,
      stdout: "",
      stderr: "",
    });
  });
});

test("workers that are terminated at random moments take nobody with them", async () => {
  const rounds = process.env.INLAY_LONG ? 200 : 30;
  const outcome = await runFixture("terminate-workers.mjs", [String(rounds)], { timeout: 55_000 + rounds * 1000 });
  expect(outcome).toEqual({ code: 0, signal: null, stdout: "lives\n", stderr: "" });
}, 300_000);

test("a worker that was the only user of the addon ends cleanly", async () => {
  expect(await runFixture("only-in-worker.mjs")).toEqual({
    code: 0,
    signal: null,
    stdout: "worker exited with 0\n",
    stderr: "",
  });
});

test("with UV_THREADPOOL_SIZE=1 and a job under way, fs still answers", async () => {
  const outcome = await runFixture("fs-beside-job.mjs", [], { env: { UV_THREADPOOL_SIZE: "1" } });
  expect(outcome).toEqual({ code: 0, signal: null, stdout: "fs answered\n", stderr: "" });
});
