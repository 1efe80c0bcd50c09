import { expect, test } from "vitest";
import { type ChildOutcome, runFixture } from "./support/child.ts";
import { makeModel } from "./support/synthetic.ts";

const SECONDS = Number(process.env.INLAY_SOAK_SECONDS ?? 10);
/** The address sanitizer's runtime, where the addon (INLAY_ADDON) was built with it. */
const SANITIZER = process.env.INLAY_SANITIZER_RUNTIME;
const EMPTY = { jobs: 0, texts: 0, tokens: 0, bytes: 0 };

function sanitized(runtime: string) {
  // Node itself leaks on purpose when it ends.
  return { LD_PRELOAD: runtime, ASAN_OPTIONS: "detect_leaks=0:quarantine_size_mb=16:abort_on_error=1" };
}

function output(outcome: ChildOutcome) {
  expect(outcome).toMatchObject({ code: 0, signal: null, stderr: "" });
  return JSON.parse(outcome.stdout);
}

test(
  `${SECONDS} s of mixed traffic: nothing lost, nothing wrong, nothing left`,
  async () => {
    const file = await makeModel({ architecture: "bert", layers: 2, dim: 32, heads: 2 });
    const outcome = await runFixture("soak.mjs", [String(SECONDS), file], {
      env: { NODE_OPTIONS: "--expose-gc", ...(SANITIZER && sanitized(SANITIZER)) },
      timeout: SECONDS * 1000 + 120_000,
    });
    const { counts, wrong, queue, memory, models, growth } = output(outcome);
    expect(wrong).toEqual([]);
    expect(counts.settled).toBe(counts.begun);
    expect(counts.right + counts.aborted + counts.disposed).toBe(counts.begun);
    expect(counts.right).toBeGreaterThan(SECONDS);
    expect(counts.aborted).toBeGreaterThan(0);
    expect(queue).toMatchObject(EMPTY);
    expect(memory).toMatchObject({ models: 0, workspaces: 0 });
    expect(models).toBe(0);
    // MiB from the third quarter to the last, beside new workspaces; what is there may still be touched for the first
    // time. Short runs also see the heap and the allocator's arenas find their size, and the sanitizer holds freed
    // memory back. The test below is the finer one.
    expect(growth).toBeLessThan(SECONDS >= 120 && !SANITIZER ? 32 : 64);
  },
  SECONDS * 1000 + 150_000,
);

test("rounds of concurrent calls with random aborts: all settle once, and memory stays where it was", async () => {
  const [calls, aborts, rounds] = process.env.INLAY_LONG ? [10_000, 3_000, 30] : [2_000, 600, 10];
  const outcome = await runFixture("soak-aborts.mjs", [calls, aborts, rounds].map(String), {
    env: { NODE_OPTIONS: "--expose-gc" },
    timeout: 600_000,
  });
  const { settled, memory, queue } = output(outcome);
  expect(settled.wrong).toBe(0);
  expect(settled.right + settled.aborted).toBe(calls! * rounds!);
  expect(settled.aborted).toBeGreaterThan(0);
  expect(queue).toMatchObject(EMPTY);
  const third = Math.floor(memory.length / 3);
  const least = (values: number[]) => Math.min(...values);
  expect(least(memory.slice(-third)) - least(memory.slice(third, 2 * third))).toBeLessThan(16); // MiB
}, 620_000);
