import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "./support/child.ts";

const cli = join(__dirname, "..", "dist", "cli", "main.js");
const TEXTS = 4000;
const KILLS = 4;

let folder: string;
const at = (name: string) => join(folder, name);
const command = (output: string) => ["embed", "--file", at("lines.txt"), "--output", output, "--resume", "-d", "32"];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "inlay-resume-"));
  const line = (i: number) => `text ${i} of the corpus ${"word ".repeat(i % 7)}`;
  writeFileSync(at("lines.txt"), Array.from({ length: TEXTS }, (_, i) => `${line(i)}\n`).join(""));
});
afterAll(() => rmSync(folder, { recursive: true }));

const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

/** Starts the command and kills it a random time after it has begun to write more; false where it ended before. */
async function killWhileWriting(output: string): Promise<boolean> {
  const before = sizeOf(output);
  const child = spawn(process.execPath, [cli, ...command(output)], { stdio: "ignore" });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on("close", (_, signal) => resolve(signal)));
  while (child.exitCode === null && sizeOf(output) <= before) await delay(2);
  await delay(Math.random() * 30);
  child.kill("SIGKILL");
  return (await ended) === "SIGKILL";
}

describe.each(["npy", "jsonl", "f32"])("inlay embed --resume, .%s", (format) => {
  it("ends with the bytes of a run that nobody killed", async () => {
    const whole = at(`whole.${format}`);
    expect(await runCli(command(whole))).toMatchObject({ code: 0, stderr: "" });

    const killed = at(`killed.${format}`);
    let kills = 0;
    for (let i = 0; i < KILLS; i++) if (await killWhileWriting(killed)) kills++;
    expect(kills).toBeGreaterThan(0);
    expect(await runCli(command(killed))).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(killed).equals(readFileSync(whole))).toBe(true);
  });

  it("goes on after a row of which only a part was written", async () => {
    const whole = readFileSync(at(`whole.${format}`));
    const cut = at(`cut.${format}`);
    writeFileSync(cut, whole);
    truncateSync(cut, Math.floor(whole.length * 0.7) - 1);
    expect(await runCli(command(cut))).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(cut).equals(whole)).toBe(true);
  });

  it("leaves a complete file as it is", async () => {
    const whole = readFileSync(at(`whole.${format}`));
    expect(await runCli(command(at(`whole.${format}`)))).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(at(`whole.${format}`)).equals(whole)).toBe(true);
  });
});

describe("inlay embed --resume", () => {
  it("refuses an .npy of another width", async () => {
    writeFileSync(at("few.txt"), "one\ntwo\n");
    const output = at("other.npy");
    await runCli(["embed", "--file", at("few.txt"), "--output", output, "-d", "16"]);
    const before = readFileSync(output);
    const { code, stderr } = await runCli(command(output));
    expect(code).toBe(2);
    expect(stderr).toMatch(/is not an \.npy of 32 columns/);
    expect(readFileSync(output).equals(before)).toBe(true);
  });

  it("refuses .jsonl of another width", async () => {
    writeFileSync(at("few.txt"), "one\ntwo\n");
    const output = at("other.jsonl");
    await runCli(["embed", "--file", at("few.txt"), "--output", output, "-d", "16"]);
    const before = readFileSync(output);
    const { code, stderr } = await runCli(command(output));
    expect(code).toBe(2);
    expect(stderr).toMatch(/has 16 dimensions instead of 32/);
    expect(readFileSync(output).equals(before)).toBe(true);
  });

  it("refuses Arrow, which cannot be gone on with", async () => {
    const { code, stderr } = await runCli(["embed", "text", "--output", at("x.arrow"), "--resume"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--resume works with \.npy, \.jsonl and \.f32/);
  });

  it("needs an output", async () => {
    expect(await runCli(["embed", "text", "--resume"])).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("--resume needs --output"),
    });
  });
});
