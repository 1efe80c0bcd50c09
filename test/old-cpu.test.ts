import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const emulator = "qemu-x86_64";
const missing = process.arch !== "x64" || process.platform !== "linux" || spawnSync(emulator, ["-version"]).error;
if (missing) console.warn(`${emulator} is not at hand (or this is not x86-64 Linux): no older CPU is tried.`);

const LOAD = `
  require(${JSON.stringify(join(__dirname, "..", "dist", "index.js"))}).loadModel("builtin").then(
    () => console.log("loaded"),
    (error) => console.log(error.code, error.message),
  )`;

describe.skipIf(missing)("an x86-64 CPU without AVX2", () => {
  it.each(["Nehalem", "SandyBridge"])(
    "gets ERR_ADDON_LOAD and a sentence, no illegal instruction: %s",
    (cpu) => {
      const { status, signal, stdout } = spawnSync(emulator, ["-cpu", cpu, process.execPath, "-e", LOAD], {
        encoding: "utf8",
        timeout: 150_000,
      });
      expect({ status, signal }).toEqual({ status: 0, signal: null });
      expect(stdout).toMatch(/^ERR_ADDON_LOAD .*This CPU \(or the virtual machine around it\) lacks .*AVX2/);
    },
    160_000,
  );
});
