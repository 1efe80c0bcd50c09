import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pullModel, resolveModel } from "../lib/models/index.ts";
import { HubServer } from "./support/hub-server.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

// Only a file system of its own can be filled; making one takes Linux and the right to mount.
const MOUNTS = process.platform === "linux" && process.geteuid!() === 0 && canMount();

describe.runIf(MOUNTS)("a disk that fills up while a model arrives", () => {
  let box: Sandbox;
  let hub: HubServer;
  beforeAll(() => {
    box = sandbox();
    mkdirSync(box.path("disk"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", box.path("disk")]);
    process.env.INLAY_CACHE = box.path("disk/cache");
  });
  afterAll(() => {
    execFileSync("umount", [box.path("disk")]);
    box.remove();
  });
  beforeEach(async () => {
    hub = await HubServer.start();
    process.env.HF_ENDPOINT = hub.endpoint;
  });
  afterEach(() => hub.stop());

  it("is an error, leaves nothing behind and spares what is there", async () => {
    hub.add("o/small", { "m.gguf": Buffer.from("small") });
    hub.add("o/r", { "m.gguf": randomBytes(18 << 20) });
    await pullModel("hf:o/small");
    hub.always.cdn = { kind: "slow", bytes: 256 << 10, pause: 2 };
    let filled = false;
    const onProgress = ({ completed }: { completed: number }) => {
      if (filled || completed < 1 << 20) return;
      filled = true;
      try {
        writeFileSync(box.path("disk/filler"), Buffer.alloc(40 << 20));
      } catch {
        // As full as it gets.
      }
    };
    await expect(pullModel("hf:o/r", { onProgress })).rejects.toMatchObject({ code: "ERR_DISK_FULL" });
    expect(filled).toBe(true);
    expect(readdirSync(box.path("disk/cache/partial"))).toEqual([]);
    expect(readdirSync(box.path("disk/cache/hub"))).toEqual(["models--o--small"]);
    expect((await resolveModel("hf:o/small")).source).toBe("huggingface");
    rmSync(box.path("disk/filler"));
    hub.always = {};
    expect((await pullModel("hf:o/r")).source).toBe("huggingface");
  });

  it("is refused beforehand when the model cannot fit", async () => {
    hub.add("o/large", { "m.gguf": Buffer.alloc(60 << 20) });
    await expect(pullModel("hf:o/large")).rejects.toMatchObject({
      code: "ERR_DISK_FULL",
      message: expect.stringMatching(/needs \d+ more bytes/),
    });
    expect(hub.contentRequests()).toEqual([]);
  });
});

function canMount(): boolean {
  const box = sandbox();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", box.home], { stdio: "ignore" });
    execFileSync("umount", [box.home], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  } finally {
    box.remove();
  }
}
