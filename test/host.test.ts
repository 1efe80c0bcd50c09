import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BUILTIN_MODEL, embed, models, unload } from "../lib/index.ts";
import { runFixture } from "./support/child.ts";

const FINE = { code: 0, signal: null, stdout: "fine\n", stderr: "" };
const LINUX = process.platform === "linux";
const FIXTURE = join(__dirname, "fixtures", "host.mjs");

async function vectorUnder(env: NodeJS.ProcessEnv): Promise<string> {
  const outcome = await runFixture("host.mjs", ["vector"], { env });
  expect(outcome).toMatchObject({ code: 0, signal: null, stderr: "" });
  return outcome.stdout;
}

describe("the environment", () => {
  test("of any thread pool size and thread count gives the same vectors", async () => {
    const usual = await vectorUnder({});
    for (const env of [
      { UV_THREADPOOL_SIZE: "1" },
      { UV_THREADPOOL_SIZE: "2", INLAY_THREADS: "1" },
      { UV_THREADPOOL_SIZE: "64", INLAY_THREADS: "64" },
      { INLAY_THREADS: "16" },
    ]) {
      expect(await vectorUnder(env)).toBe(usual);
    }
  }, 120_000);

  test("with variables meant for ggml or OpenMP changes nothing", async () => {
    const hostile = {
      GGML_BACKEND_PATH: "/no/such/library.so",
      GGML_NO_BACKTRACE: "0",
      GGML_CPU_ALL_VARIANTS: "1",
      GGML_N_THREADS: "-1",
      OMP_NUM_THREADS: "999999",
      OMP_STACKSIZE: "1",
      KMP_AFFINITY: "garbage",
      LLAMA_ARG_N_PARALLEL: "-5",
      LLAMA_TRACE: "1",
    };
    expect(await vectorUnder(hostile)).toBe(await vectorUnder({}));
  });

  test.runIf(LINUX)("and the working folder name no library that is loaded", async () => {
    const folder = mkdtempSync(join(tmpdir(), "planted-"));
    const library = join(__dirname, "..", "build", "Release", "inlay.node");
    const names = ["libggml.so", "libggml-base.so", "libggml-cpu.so", "libggml-cpu-icelake.so", "libllama.so"];
    for (const name of names) copyFileSync(library, join(folder, name));
    const child = spawnSync(process.execPath, [FIXTURE, "libraries"], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, GGML_BACKEND_PATH: join(folder, "libggml-cpu.so"), GGML_BACKEND_DIR: folder },
    });
    rmSync(folder, { recursive: true });
    expect(child).toMatchObject({ status: 0, stdout: "fine\n", stderr: "" });
  });

  test.runIf(LINUX)("of signal handlers stays as the host set it", async () => {
    expect(await runFixture("host.mjs", ["handlers"])).toEqual(FINE);
  });
});

describe("a host that", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "gets %s in mid-job ends by it, without a word",
    async (signal) => {
      const child = spawn(process.execPath, [FIXTURE, "wait"], { stdio: ["ignore", "pipe", "pipe"] });
      let stderr = "";
      child.stderr.on("data", (text) => (stderr += text));
      const closed = new Promise((resolve) => child.once("close", (code, by) => resolve(by ?? code)));
      await Promise.race([new Promise((resolve) => child.stdout.once("data", resolve)), closed]);
      child.kill(signal);
      const ended = await closed;
      expect({ ended, stderr }).toEqual({ ended: signal, stderr: "" });
    },
  );

  test("blocks its event loop for seconds loses no job by it", async () => {
    expect(await runFixture("host.mjs", ["blocked"])).toEqual(FINE);
  });

  test("forks Node processes in mid-job has children that embed on their own", async () => {
    expect(await runFixture("host.mjs", ["fork"])).toEqual(FINE);
  });

  test("is a cluster embeds in each worker", async () => {
    expect(await runFixture("host.mjs", ["cluster"])).toEqual(FINE);
  });

  test("resets its module registry loads the package again", async () => {
    expect(await runFixture("host.mjs", ["registry"])).toEqual(FINE);
  });

  test.runIf(LINUX)("spawns a program hands it none of the package's files", async () => {
    expect(await runFixture("host.mjs", ["descriptors"])).toEqual(FINE);
  });

  const taskset = spawnSync("taskset", ["--version"]).status === 0;
  test.runIf(taskset)("is moved to one core in mid-job goes on", async () => {
    expect(await runFixture("host.mjs", ["affinity"])).toEqual(FINE);
  });
});

test("a clock that jumps by a year ends no keep_alive early and prolongs none", async () => {
  const now = Date.now;
  try {
    for (const jump of [365, -365]) {
      await embed({ model: BUILTIN_MODEL, input: "a", keep_alive: "400ms" });
      Date.now = () => now() + jump * 86_400_000;
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(models()).toHaveLength(1);
      await new Promise((resolve) => setTimeout(resolve, 800));
      expect(models()).toHaveLength(0);
    }
  } finally {
    Date.now = now;
    await unload(BUILTIN_MODEL);
  }
});
