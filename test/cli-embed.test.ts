import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILTIN_MODEL, loadModel } from "../lib/index.ts";
import { runCli } from "./support/child.ts";
import { readNpy } from "./support/npy.ts";
import { onTerminal, terminalMissing } from "./support/terminal.ts";

const TEXTS = ["why is the sky blue?", "Żółw, 烏龜, черепаха", "", "a second line"];
const DIMENSIONS = 256;
const cli = join(__dirname, "..", "dist", "cli", "main.js");

let folder: string;
let expected: Float32Array[];
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "inlay-cli-"));
  writeFileSync(at("lines.txt"), TEXTS.map((text) => `${text}\n`).join(""));
  const model = await loadModel(BUILTIN_MODEL);
  expected = (await model.embed(TEXTS)).embeddings;
  await model.dispose();
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Line {
  index: number;
  tokens: number;
  truncated?: boolean;
  embedding: number[];
}

function parse(output: string): Line[] {
  expect(output.endsWith("\n")).toBe(true);
  return output
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line));
}

function expectLines(output: string): void {
  const lines = parse(output);
  expect(lines.map(({ index }) => index)).toEqual(TEXTS.map((_, i) => i));
  for (const [i, { embedding }] of lines.entries()) expect(Float32Array.from(embedding)).toEqual(expected[i]);
}

describe("inlay embed in a pipe", () => {
  it("prints JSON lines alone, whose numbers are the very vectors", async () => {
    const { code, stdout, stderr } = await runCli(["embed", ...TEXTS]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expectLines(stdout);
    expect((await runCli(["embed", "--json", ...TEXTS])).stdout).toBe(stdout);
  });

  it("reads a text from each line of standard input", async () => {
    const { code, stdout, stderr } = await runCli(["embed", "-"], { input: TEXTS.join("\r\n") });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expectLines(stdout);
  });

  it("reads a text from each line of a file", async () => {
    expectLines((await runCli(["embed", "--file", at("lines.txt")])).stdout);
  });

  it("keeps the first dimensions", async () => {
    const [line] = parse((await runCli(["embed", "--dimensions", "8", TEXTS[0]!])).stdout);
    expect(line!.embedding).toHaveLength(8);
    expect(Math.hypot(...line!.embedding)).toBeCloseTo(1, 6);
  });

  it("says which texts were cut, or fails on them", async () => {
    const long = "word ".repeat(3000);
    const [short, cut] = parse((await runCli(["embed", "short", long])).stdout);
    expect([short!.truncated, cut!.truncated]).toEqual([undefined, true]);
    const { code, stdout, stderr } = await runCli(["embed", "--no-truncate", "short", long]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^inlay: .*ERR_INPUT_TOO_LONG\)\n$/);
    writeFileSync(at("long.txt"), `short\n${long}\n`);
    const output = await runCli(["embed", "--file", at("long.txt"), "--output", at("long.f32")]);
    expect(output).toMatchObject({ code: 0, stderr: expect.stringMatching(/^1 text was longer than .*2048 tokens/) });
  });

  it("ends quietly when its reader goes away", async () => {
    writeFileSync(at("many.txt"), "the same line again\n".repeat(20_000));
    const child = spawn(process.execPath, [cli, "embed", "--file", at("many.txt")], { stdio: "pipe" });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.stdout.once("data", () => child.stdout.destroy());
    const [code, signal] = await new Promise<unknown[]>((resolve) => child.on("close", (...end) => resolve(end)));
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
  });
});

describe("inlay embed --output", () => {
  const write = async (name: string, ...args: string[]) => {
    const outcome = await runCli(["embed", "--file", at("lines.txt"), "--output", at(name), ...args]);
    expect(outcome).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
  };
  const flat = () => Float32Array.from(expected.flatMap((row) => Array.from(row)));

  it("writes .npy", async () => {
    await write("vectors.npy");
    expect(readNpy(at("vectors.npy"))).toEqual({ rows: TEXTS.length, columns: DIMENSIONS, values: flat() });
  });

  it("writes .npy of fewer dimensions", async () => {
    await write("short.npy", "-d", "3");
    expect(readNpy(at("short.npy"))).toMatchObject({ rows: TEXTS.length, columns: 3 });
  });

  it("writes .f32", async () => {
    await write("vectors.f32");
    const bytes = readFileSync(at("vectors.f32"));
    expect(Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))).toEqual(flat());
  });

  it("writes .jsonl", async () => {
    await write("vectors.jsonl");
    expectLines(readFileSync(at("vectors.jsonl"), "utf8"));
  });

  it("writes .arrow", async () => {
    await write("vectors.arrow");
    const table = tableFromIPC(readFileSync(at("vectors.arrow")));
    expect(table.numRows).toBe(TEXTS.length);
    for (const [i, row] of table.toArray().entries()) {
      expect(row.index).toBe(i);
      expect(Float32Array.from(row.embedding)).toEqual(expected[i]);
    }
  });

  it("replaces what an earlier run wrote", async () => {
    writeFileSync(at("again.f32"), Buffer.alloc(1 << 20, 1));
    await write("again.f32");
    expect(statSync(at("again.f32")).size).toBe(TEXTS.length * DIMENSIONS * 4);
  });
});

describe.skipIf(terminalMissing)("inlay embed on a terminal", () => {
  it("shows dimensions, tokens, time and similarities", async () => {
    const { code, shown } = await onTerminal(["embed", "hello there", "hello here", "goodbye"]);
    expect(code).toBe(0);
    expect(shown).toMatch(/256 dimensions/);
    expect(shown).toMatch(/embedded 3 texts in [\d.]+ ms/);
    expect(shown).toMatch(/1 {2}hello there {2}\d+ tokens/);
    const table = shown.slice(shown.indexOf("cosine")).split("\n").slice(1, 4);
    expect(table.map((line, i) => Number(line.trim().split(/ +/)[i + 1]))).toEqual([1, 1, 1]);
  });

  it("prints JSON when asked to", async () => {
    const { shown } = await onTerminal(["embed", "--json", "hello there"]);
    expect(parse(shown)).toHaveLength(1);
  });

  it("shows how far a long run is, and what is left", async () => {
    writeFileSync(at("progress.txt"), Array.from({ length: 2000 }, (_, i) => `line ${i}\n`).join(""));
    const { code, shown } = await onTerminal(["embed", "--file", at("progress.txt"), "--output", at("progress.f32")]);
    expect(code).toBe(0);
    expect(shown).toMatch(/100 % {2}2000\/2000 {2}\d+ texts\/s {2}\d+ tokens\/s .* left/);
  });
});
