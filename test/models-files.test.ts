import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fileError } from "../lib/models/files.ts";
import { listModels, resolveModel, searchedPlaces } from "../lib/models/index.ts";
import { storeModel } from "./support/ollama-store.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

let box: Sandbox;
beforeEach(() => {
  box = sandbox();
});
afterEach(() => box.remove());

const code = (name: string) => expect.objectContaining({ code: name });
const POSIX = process.platform !== "win32";

describe("a file that is none", () => {
  it("missing", async () => {
    const error = await resolveModel(box.path("gone.gguf")).catch((reason) => reason);
    expect(error).toEqual(code("ERR_MODEL_NOT_FOUND"));
    expect(error.cause).toMatchObject({ code: "ENOENT" });
    await expect(resolveModel(`${box.write("file", "x")}/below.gguf`)).rejects.toThrow(code("ERR_MODEL_NOT_FOUND"));
  });

  it("a folder", async () => {
    await expect(resolveModel(box.home)).rejects.toThrow(/is a folder, not a file/);
    mkdirSync(box.path("model.gguf"));
    await expect(resolveModel(box.path("model.gguf"))).rejects.toThrow(code("ERR_MODEL_ACCESS"));
  });

  it.runIf(POSIX)("a pipe, without waiting for a writer", async () => {
    execFileSync("mkfifo", [box.path("pipe.gguf")]);
    await expect(resolveModel(box.path("pipe.gguf"))).rejects.toThrow(/is a pipe/);
  });

  it.runIf(POSIX)("a device that never ends", async () => {
    symlinkSync("/dev/zero", box.path("zero.gguf"));
    for (const path of ["/dev/zero", box.path("zero.gguf")]) {
      await expect(resolveModel(path)).rejects.toThrow(/is a device/);
    }
  });

  it.runIf(POSIX)("a socket", async () => {
    const server = createServer().listen(box.path("s.gguf"));
    await new Promise((resolve) => server.once("listening", resolve));
    await expect(resolveModel(box.path("s.gguf"))).rejects.toThrow(/is a socket/);
    await new Promise((resolve) => server.close(resolve));
  });

  it.runIf(POSIX)("links that lead in a circle", async () => {
    symlinkSync(box.path("b.gguf"), box.path("a.gguf"));
    symlinkSync(box.path("a.gguf"), box.path("b.gguf"));
    const error = await resolveModel(box.path("a.gguf")).catch((reason) => reason);
    expect(error).toEqual(code("ERR_MODEL_ACCESS"));
    expect(error.message).toMatch(/in a circle/);
  });

  it.runIf(POSIX)("a path longer than the system allows", async () => {
    await expect(resolveModel(`${box.home}/${"x".repeat(300)}.gguf`)).rejects.toThrow(code("ERR_NAME_INVALID"));
  });

  it.runIf(POSIX)("links that lead to a file are followed", async () => {
    symlinkSync(box.write("real", "x"), box.path("link.gguf"));
    expect((await resolveModel(box.path("link.gguf"))).path).toBe(box.path("link.gguf"));
  });
});

describe.runIf(POSIX)("without permission", () => {
  it("a file, its folder and Ollama's store say so", async () => {
    box.write("closed/a.gguf", "x");
    chmodSync(box.write("a.gguf", "x"), 0);
    const store = box.path(".ollama/models");
    const { blobs } = storeModel(store, {
      manifest: "registry.ollama.ai/library/m/latest",
      layers: [["model", "gguf"]],
    });
    chmodSync(blobs[0]!, 0);
    storeModel(box.path("other"), { manifest: "registry.ollama.ai/library/hidden/latest", layers: [["model", "x"]] });
    process.env.OLLAMA_MODELS = box.path("other");
    chmodSync(box.path("closed"), 0);
    chmodSync(box.path("other/manifests"), 0);
    chmodSync(box.home, 0o755);
    await asNobody(async () => {
      for (const name of [box.path("a.gguf"), box.path("closed/a.gguf"), "m", "hidden"]) {
        await expect(resolveModel(name)).rejects.toThrow(code("ERR_MODEL_ACCESS"));
      }
      const error = await resolveModel(box.path("a.gguf")).catch((reason) => reason);
      expect(error.cause).toMatchObject({ code: "EACCES" });
      expect(await searchedPlaces()).toContainEqual(
        expect.objectContaining({ path: box.path("other"), state: "unreadable" }),
      );
      expect(await listModels()).toContainEqual(
        expect.objectContaining({ name: "m:latest", problem: expect.stringContaining("may not read") }),
      );
    });
  });

  it("a store that is closed does not hide what another has", async () => {
    process.env.OLLAMA_MODELS = box.path("closed");
    mkdirSync(box.path("closed/manifests"), { recursive: true });
    chmodSync(box.path("closed"), 0);
    storeModel(box.path(".ollama/models"), {
      manifest: "registry.ollama.ai/library/m/latest",
      layers: [["model", "x"]],
    });
    chmodSync(box.home, 0o755);
    await asNobody(async () => expect((await resolveModel("m")).source).toBe("ollama"));
  });
});

describe("inside an Electron archive", () => {
  it("the unpacked copy is taken", async () => {
    box.write("app.asar", "archive");
    const path = box.write("app.asar.unpacked/node_modules/x/a.gguf", "x");
    expect((await resolveModel(box.path("app.asar/node_modules/x/a.gguf"))).path).toBe(path);
  });

  it("without one the error says to unpack", async () => {
    box.write("app.asar", "archive");
    const error = await resolveModel(box.path("app.asar/a.gguf")).catch((reason) => reason);
    expect(error).toEqual(code("ERR_MODEL_ACCESS"));
    expect(error.message).toMatch(/asarUnpack/);
  });

  it("a folder of that name is a folder", async () => {
    const path = box.write("app.asar/a.gguf", "x");
    expect((await resolveModel(path)).path).toBe(path);
  });
});

it("a system's error keeps its meaning", () => {
  const meaning = (errno: string) => fileError(Object.assign(new Error(errno), { code: errno }), "/a.gguf").code;
  expect(meaning("EBUSY")).toBe("ERR_MODEL_ACCESS");
  expect(meaning("EPERM")).toBe("ERR_MODEL_ACCESS");
  expect(meaning("EIO")).toBe("ERR_MODEL_ACCESS");
  expect(meaning("ENOSPC")).toBe("ERR_DISK_FULL");
  expect(meaning("EDQUOT")).toBe("ERR_DISK_FULL");
});

it.runIf(process.platform === "linux")("looking leaves no file open", async () => {
  const path = box.write("a.gguf", "x");
  box.write(".cache/huggingface/hub/models--o--r/snapshots/1/m.gguf", "GGUF but damaged");
  await resolveModel(path);
  const before = readdirSync("/proc/self/fd").length;
  for (let turn = 0; turn < 50; turn++) {
    await resolveModel(path);
    await resolveModel(box.path("gone.gguf")).catch(() => undefined);
    await listModels();
  }
  expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before + 2);
});

/** Root may read everything: as root, the work is done as the user nobody. */
async function asNobody(work: () => Promise<void>): Promise<void> {
  if (process.geteuid!() !== 0) return work();
  process.seteuid!(65534);
  try {
    await work();
  } finally {
    process.seteuid!(0);
  }
}
