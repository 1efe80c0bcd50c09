import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";

// The corpus is written by `gguf_corpus`, an executable of the C++ tests; see .ci/run.
const corpus = process.env.INLAY_CORPUS;
if (!corpus) console.warn("malformed.test.ts is skipped: INLAY_CORPUS names no folder that gguf_corpus has written");

interface Outcome {
  path: string;
  took: number;
  norms?: number[];
  code?: string;
  rule?: string;
  message?: string;
}

/** Loads files one after another in a child; a file that ends the child is an outcome too. */
async function loadEach(engine: string, paths: string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  while (outcomes.length < paths.length) {
    const rest = paths.slice(outcomes.length);
    const child = spawn(process.execPath, [join(__dirname, "fixtures", "load-each.mjs"), engine], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    child.stdin.on("error", () => {});
    child.stdin.end(`${rest.join("\n")}\n`);
    const ended = new Promise<string>((resolve) =>
      child.once("exit", (code, signal) => resolve(signal ?? `exit ${code}`)),
    );
    for await (const line of createInterface({ input: child.stdout })) outcomes.push(JSON.parse(line));
    const how = await ended;
    if (outcomes.length < paths.length)
      outcomes.push({ path: paths[outcomes.length]!, took: 0, code: `process ended: ${how}` });
  }
  return outcomes;
}

function isUnit(norm: number): boolean {
  return Math.abs(norm - 1) <= 1e-6;
}

describe.skipIf(!corpus).each(["auto", "ggml"])("malformed files, %s engine", (engine) => {
  test("give a coded error within a second, or right vectors", async () => {
    const list = readFileSync(join(corpus!, "list.tsv"), "utf8").trim().split("\n");
    const rules = new Map(list.map((line) => line.split("\t") as [string, string]));
    const outcomes = await loadEach(
      engine,
      [...rules.keys()].map((name) => join(corpus!, name)),
    );
    const wrong = outcomes.filter(({ path, took, norms, code }) => {
      const mustLoad = rules.get(path.slice(corpus!.length + 1)) === "-";
      const fine = norms ? norms.every(isUnit) : !mustLoad && /^ERR_(MODEL|INPUT)_/.test(code ?? "");
      return !fine || took > 1000;
    });
    expect(wrong).toEqual([]);
  }, 600_000);
});

test.skipIf(!corpus)(
  "what the validator accepts, llama.cpp loads and embeds with, without an abort",
  async () => {
    const folder = join(corpus!, "accepted");
    const outcomes = await loadEach(
      "ggml",
      readdirSync(folder).map((name) => join(folder, name)),
    );
    // Weights that a mutation has made overflow give a coded error; nothing may end the process.
    const wrong = outcomes.filter(({ norms, code }) => !(norms ? norms.every(isUnit) : code === "ERR_MODEL_INVALID"));
    expect(wrong).toEqual([]);
  },
  1_800_000,
);
