import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { resolveModel } from "../lib/models/index.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

const lock = vi.hoisted(() => ({ path: "", tries: 0, seen: 0 }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open: typeof real.open = async (path, ...rest) => {
    if (path === lock.path && lock.seen++ < lock.tries) {
      throw Object.assign(new Error("EBUSY: resource busy or locked"), { code: "EBUSY", syscall: "open" });
    }
    return real.open(path, ...rest);
  };
  return { ...real, open };
});

let box: Sandbox;
beforeEach(() => {
  box = sandbox();
  Object.assign(lock, { path: box.write("m.gguf", "x"), tries: 0, seen: 0 });
});
afterEach(() => box.remove());

// A virus scanner on Windows holds files for a moment; elsewhere the error has to be made.
describe("a file that another program keeps locked", () => {
  it("is waited for a little", async () => {
    lock.tries = 3;
    expect((await resolveModel(lock.path)).path).toBe(lock.path);
  });

  it("is an error when the lock stays", async () => {
    lock.tries = Number.POSITIVE_INFINITY;
    const start = Date.now();
    await expect(resolveModel(lock.path)).rejects.toMatchObject({ code: "ERR_MODEL_ACCESS", cause: { code: "EBUSY" } });
    expect(Date.now() - start).toBeLessThan(3000);
  });
});
