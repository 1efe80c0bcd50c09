import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as list from "../lib/cli/list.ts";
import { FileProgress } from "../lib/cli/progress.ts";
import * as pull from "../lib/cli/pull.ts";
import * as rm from "../lib/cli/rm.ts";
import { formatBytes, formatTable } from "../lib/cli/table.ts";
import * as verify from "../lib/cli/verify.ts";
import { HubServer, sha256 } from "./support/hub-server.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

const CONTENT = randomBytes(40_000);
let box: Sandbox;
let hub: HubServer;
let out: string;
let err: string;
beforeEach(async () => {
  box = sandbox();
  hub = await HubServer.start();
  hub.add("o/r", { "m-Q8_0.gguf": CONTENT });
  process.env.HF_ENDPOINT = hub.endpoint;
  [out, err] = ["", ""];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += text;
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
  await hub.stop();
  box.remove();
});

async function inlay(...words: string[]): Promise<string> {
  const program = new Command().exitOverride();
  for (const command of [pull, list, rm, verify]) command.register(program);
  for (const command of program.commands) command.exitOverride();
  out = "";
  await program.parseAsync(words, { from: "user" });
  return out;
}

describe("inlay pull", () => {
  it("prints the path alone, and nothing about progress in a pipe", async () => {
    const path = (await inlay("pull", "hf:o/r")).trimEnd();
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(err).toBe("");
  });

  it("prints a line of JSON per model", async () => {
    const lines = (await inlay("pull", "hf:o/r", "hf:o/r:q8_0", "--json")).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).sha256)).toEqual([sha256(CONTENT), sha256(CONTENT)]);
  });

  it("takes another endpoint and fetches again when told to", async () => {
    process.env.HF_ENDPOINT = "http://127.0.0.1:1";
    await inlay("pull", "hf:o/r", "--endpoint", hub.endpoint);
    await inlay("pull", "hf:o/r", "--endpoint", hub.endpoint, "--force");
    expect(hub.contentRequests()).toHaveLength(2);
  });

  it("fails with a coded error", async () => {
    await expect(inlay("pull", "hf:o/gone")).rejects.toMatchObject({ code: "ERR_MODEL_ACCESS" });
    await expect(inlay("pull")).rejects.toMatchObject({ code: "commander.missingArgument" });
  });

  it("stops at Ctrl-C with exit code 130 and keeps what has arrived", async () => {
    hub.always.cdn = { kind: "slow", bytes: 1000, pause: 20 };
    const running = inlay("pull", "hf:o/r");
    await vi.waitFor(() => expect(hub.contentRequests()).toHaveLength(1), 5000);
    process.emit("SIGINT");
    await running;
    expect(process.exitCode).toBe(130);
    expect(err).toMatch(/interrupted/);
  });
});

describe("inlay list", () => {
  it("shows what is here as a table and as JSON", async () => {
    await inlay("pull", "hf:o/r");
    const table = await inlay("list");
    expect(table).toMatch(/^NAME +SOURCE +SIZE/);
    expect(table).toMatch(/hf:o\/r\/m-Q8_0\.gguf +huggingface +39\.1 KiB +Q8_0/);
    const models = JSON.parse(await inlay("list", "--json"));
    expect(models).toContainEqual(expect.objectContaining({ name: "hf:o/r/m-Q8_0.gguf", bytes: CONTENT.length }));
  });

  it("shows the catalogue", async () => {
    expect(await inlay("list", "--catalogue")).toMatch(/embeddinggemma-300m +768 +2048/);
    const entries = JSON.parse(await inlay("list", "--catalogue", "--json"));
    expect(entries.length).toBeGreaterThan(30);
  });
});

describe("inlay verify", () => {
  it("checks everything that is vouched for; a wrong file gives exit code 1", async () => {
    const path = (await inlay("pull", "hf:o/r")).trimEnd();
    expect(await inlay("verify")).toBe("right      hf:o/r/m-Q8_0.gguf\n");
    expect(process.exitCode).toBeUndefined();
    writeFileSync(path, "broken", { flag: "r+" });
    expect(JSON.parse(await inlay("verify", "hf:o/r", "--json"))).toMatchObject({ state: "wrong" });
    expect(process.exitCode).toBe(1);
  });
});

describe("inlay rm", () => {
  it("removes what was pulled and says what that frees", async () => {
    const path = (await inlay("pull", "hf:o/r")).trimEnd();
    expect(await inlay("rm", "hf:o/r")).toBe("removed hf:o/r, which frees 39.1 KiB\n");
    expect(existsSync(path)).toBe(false);
    await expect(inlay("rm", "hf:o/r")).rejects.toMatchObject({ code: "ERR_MODEL_NOT_FOUND" });
  });
});

it("a bar shows on a terminal only", () => {
  const step = { file: "m.gguf", phase: "download", completed: 5, total: 10 } as const;
  const terminal = Object.getOwnPropertyDescriptor(process.stderr, "isTTY");
  try {
    for (const isTTY of [false, true]) {
      Object.defineProperty(process.stderr, "isTTY", { value: isTTY, configurable: true });
      const progress = new FileProgress(true);
      progress.show(step);
      progress.show({ ...step, phase: "verify", completed: 10 });
      progress.end();
      if (!isTTY) expect(err).toBe("");
      else expect(err).not.toBe("");
    }
  } finally {
    if (terminal === undefined) delete (process.stderr as { isTTY?: boolean }).isTTY;
    else Object.defineProperty(process.stderr, "isTTY", terminal);
  }
});

it("sizes and tables are for people", () => {
  expect([0, 1023, 1024, 25_000_000, 7e9].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KiB",
    "23.8 MiB",
    "6.5 GiB",
  ]);
  expect(
    formatTable(
      ["A", "N"],
      [
        ["x", "5"],
        ["long", "10"],
      ],
    ),
  ).toBe("A      N\nx      5\nlong  10\n");
});
