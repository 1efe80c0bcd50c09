import { expect, test } from "vitest";
import { runFixture } from "./support/child.ts";

test("threads share one copy of a model, get the same bytes from it, and each may end", async () => {
  expect(await runFixture("workers-share.mjs")).toEqual({ code: 0, signal: null, stdout: "shared\n", stderr: "" });
});

test("a job goes on where the worker whose threads did the work ends", async () => {
  const rounds = process.env.INLAY_LONG ? 100 : 8;
  const outcome = await runFixture("worker-leads.mjs", [String(rounds)], { timeout: 50_000 + rounds * 1000 });
  expect(outcome).toEqual({ code: 0, signal: null, stdout: `${rounds} settled\n`, stderr: "" });
}, 200_000);
