import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { resolveModel } from "../lib/models/index.ts";
import { compile } from "./support/compiled.ts";
import { HubServer, sha256 } from "./support/hub-server.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

/** How often a download is killed; the long tests set it to 1000. */
const KILLS = Number(process.env.INLAY_KILLS ?? 15);
/** Bytes that a download asks for at a time. */
const PIECE = 16 << 20;
/** Two pieces, so that several ranges are under way at once. */
const CONTENT = randomBytes(PIECE + (1 << 20));
const HASH = sha256(CONTENT);

let compiled: string;
let box: Sandbox;
let hub: HubServer;
beforeAll(() => {
  compiled = compile("models/index.ts");
});
afterAll(() => rmSync(compiled, { recursive: true, force: true }));
beforeEach(async () => {
  box = sandbox();
  hub = await HubServer.start();
  hub.add("o/r", { "m.gguf": CONTENT });
  // Slow enough that what has arrived is noted a few times on the way.
  hub.always.cdn = { kind: "slow", bytes: 128 << 10, pause: 8 };
  process.env.HF_ENDPOINT = hub.endpoint;
});
afterEach(async () => {
  await hub.stop();
  box.remove();
});

const folder = () => box.path(".cache/inlay/hub/models--o--r");
const entries = (path: string) => (existsSync(path) ? readdirSync(path) : []);

it(`a download that is killed ${KILLS} times at any moment is never seen unfinished, and completes`, {
  timeout: 60_000 + KILLS * 3000,
}, async () => {
  const start = Date.now();
  expect(await exitOf(pull())).toBe(0);
  const duration = Date.now() - start;
  rmSync(folder(), { recursive: true });
  let kills = 0;
  let reached = 0;
  const starts: number[] = [];
  while (kills < KILLS) {
    hub.requests.length = 0;
    const child = pull();
    const ended = once(child, "exit");
    await Promise.race([sleep(Math.random() * duration), ended]);
    child.kill("SIGKILL");
    const [code] = await ended;
    if (code === null) kills++;
    else expect(code).toBe(0);
    // An attempt goes on where the ones before it got to.
    const asked = hub.contentRequests().map(({ headers }) => Number(/\d+/.exec(headers.range!)![0]));
    for (const start of asked.filter((start) => start < PIECE)) {
      expect(start).toBeGreaterThanOrEqual(reached);
      reached = start;
    }
    starts.push(reached);
    const visible = entries(join(folder(), "blobs"));
    expect([[], [HASH]]).toContainEqual(visible);
    const found = await resolveModel("hf:o/r").catch(() => undefined);
    if (found !== undefined || visible.length > 0) {
      expect(sha256(readFileSync(join(folder(), "blobs", HASH)))).toBe(HASH);
      rmSync(folder(), { recursive: true });
      reached = 0;
    }
  }
  expect(await exitOf(pull())).toBe(0);
  const { path } = await resolveModel("hf:o/r");
  expect(sha256(readFileSync(path))).toBe(HASH);
  expect(entries(box.path(".cache/inlay/partial"))).toEqual([]);
  expect(Math.max(...starts)).toBeGreaterThan(0);
});

describe("two pulls of one model at once", () => {
  it("in two processes both succeed", async () => {
    const children = [pull(), pull(), pull()];
    expect(await Promise.all(children.map(exitOf))).toEqual([0, 0, 0]);
    expect(sha256(readFileSync((await resolveModel("hf:o/r")).path))).toBe(HASH);
    expect(entries(box.path(".cache/inlay/partial"))).toEqual([]);
    expect(entries(join(folder(), "blobs"))).toEqual([HASH]);
  });

  it("one of which is killed, the other succeeds", async () => {
    const [lost, kept] = [pull(), pull()];
    const ended = exitOf(kept);
    await sleep(400);
    lost.kill("SIGKILL");
    expect(await ended).toBe(0);
    expect(sha256(readFileSync((await resolveModel("hf:o/r")).path))).toBe(HASH);
  });
});

function pull(): ChildProcess {
  const script = `require(${JSON.stringify(join(compiled, "models", "index.js"))}).pullModel("hf:o/r").catch((error) => {
    console.error(error);
    process.exit(1);
  });`;
  return spawn(process.execPath, ["-e", script], { stdio: ["ignore", "ignore", "inherit"] });
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, "exit");
  return code;
}
