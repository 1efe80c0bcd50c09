// Packs the package, installs it in an empty folder and uses it as a stranger would.
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const asked = process.env.INLAY_PACKAGE === "1";
if (!asked) console.warn("INLAY_PACKAGE=1 is not set: the package is not made, installed and used.");

const root = join(__dirname, "..");
const PACKED = ["package.json", "README.md", "CHANGELOG.md", "LICENSE", "binding.gyp", "dist", "docs", "models"];
const scripts = join(root, "native", "scripts");
const platform = `${process.platform}-${process.arch}`;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

let work: string;
let staged: string;
let tarball: string;
let consumer: string;
let installed: string;

const run = (command: string, args: string[], cwd: string) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** What a fixture or a line of JavaScript does where inlay is installed. */
function useInlay(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: consumer,
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "", ...env },
  });
  return { status, stdout, stderr };
}

const LOAD = `
  require("inlay").loadModel("builtin").then(
    (model) => console.log(model.info.dimensions),
    (error) => console.log(error.code, error.message),
  )`;

// A namespace without a network, where the system lets users make one.
const isolate = spawnSync("unshare", ["-rn", "true"]).status === 0 ? ["unshare", "-rn"] : [];

describe.skipIf(!asked)("the package", () => {
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), "inlay-pack-"));
    staged = join(work, "staged");
    // A prebuild in the checkout itself would be loaded in place of what is built there.
    run(process.execPath, [join(scripts, "prebuild.mjs"), "--out", staged], root);
    for (const path of PACKED) cpSync(join(root, path), join(staged, path), { recursive: true });
    cpSync(scripts, join(staged, "native", "scripts"), { recursive: true });
    run(process.execPath, [join(scripts, "source-archive.mjs"), join(staged, "native", "source.tgz")], root);
    mkdirSync(join(staged, "vendor", "llama.cpp"), { recursive: true });
    cpSync(join(root, "vendor/llama.cpp/LICENSE"), join(staged, "vendor/llama.cpp/LICENSE"));
    run("npm", ["pack", "--ignore-scripts", "--pack-destination", work], staged);
    tarball = join(work, `inlay-${version}.tgz`);

    consumer = join(work, "consumer");
    mkdirSync(consumer);
    writeFileSync(join(consumer, "package.json"), '{ "name": "consumer", "private": true }');
    // inlay comes from the tarball; its dependencies come from npm's cache, or else from the registry.
    run("npm", ["install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", tarball], consumer);
    installed = join(consumer, "node_modules", "inlay");
    for (const name of ["package-esm.mjs", "package-cjs.cjs", "package-report.cjs"])
      cpSync(join(__dirname, "fixtures", name), join(consumer, name));
  }, 600_000);
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it("holds every file it must and no other", () => {
    const printed = run(process.execPath, [join(scripts, "verify-package.mjs"), tarball], root);
    expect(printed).toMatch(/\d+ files, [\d.]+ MB packed, [\d.]+ MB unpacked/);
    console.log(printed.trim());
  });

  it("is refused with a file too many, one too few, and an addon that exports more", () => {
    const spoilt = join(work, "spoilt");
    mkdirSync(spoilt);
    run("tar", ["-xzf", tarball, "-C", spoilt], work);
    writeFileSync(join(spoilt, "package/dist/stray.js"), "");
    rmSync(join(spoilt, "package/LICENSE"));
    const [prebuild] = readdirSync(join(spoilt, "package/prebuilds", platform));
    cpSync(process.execPath, join(spoilt, "package/prebuilds", platform, prebuild!));
    run("tar", ["-czf", "spoilt.tgz", "package"], spoilt);
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(scripts, "verify-package.mjs"), join(spoilt, "spoilt.tgz")],
      {
        encoding: "utf8",
      },
    );
    expect(status).toBe(1);
    expect(stderr).toContain("unexpected: dist/stray.js");
    expect(stderr).toContain("missing: LICENSE");
    if (process.platform === "linux") expect(stderr).toMatch(/node\.napi\.\S*node exports /);
  });

  it("runs nothing when it or anything it needs is installed", () => {
    const lock = JSON.parse(readFileSync(join(consumer, "package-lock.json"), "utf8"));
    const names = Object.entries<{ hasInstallScript?: boolean }>(lock.packages);
    expect(names.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
    expect(names.length).toBeGreaterThan(1);
  });

  it("installs again without a network", () => {
    const second = join(work, "offline");
    mkdirSync(second);
    writeFileSync(join(second, "package.json"), '{ "name": "offline", "private": true }');
    const install = ["npm", "install", "--ignore-scripts", "--offline", "--no-audit", "--no-fund", tarball];
    const [command, ...args] = [...isolate, ...install];
    run(command!, args, second);
    expect(existsSync(join(second, "node_modules/inlay/dist/index.js"))).toBe(true);
  });

  it.each(["package-esm.mjs", "package-cjs.cjs"])("works from %s", (fixture) => {
    const { status, stdout, stderr } = useInlay([fixture]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const expected = { version, lengths: [256, 256], code: "ERR_MODEL_NOT_FOUND", server: "function" };
    expect(JSON.parse(stdout)).toEqual(expected);
  });

  it.each(["mts", "cts"])("has types for a .%s file", (extension) => {
    cpSync(join(__dirname, "fixtures/package-types.ts"), join(consumer, `use.${extension}`));
    const config = {
      compilerOptions: {
        target: "es2022",
        module: "nodenext",
        strict: true,
        noEmit: true,
        skipLibCheck: false,
        typeRoots: [join(root, "node_modules/@types")],
        types: ["node"],
      },
      files: [`use.${extension}`],
    };
    writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", "."], { cwd: consumer, encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
  });

  it("embeds on the command line with the network cut", () => {
    const [command, ...args] = [...isolate, "npx", "--offline", "inlay", "embed", "why is the sky blue?"];
    const closed = "http://127.0.0.1:9";
    const { status, stdout, stderr } = spawnSync(command!, args, {
      cwd: consumer,
      encoding: "utf8",
      env: { ...process.env, HTTP_PROXY: closed, HTTPS_PROXY: closed, ALL_PROXY: closed },
    });
    const ours = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("npm warn"));
    expect({ status, ours }).toEqual({ status: 0, ours: [] });
    expect(JSON.parse(stdout).embedding).toHaveLength(256);
  });

  it("prefers the prebuild to a stale local build", () => {
    const stale = join(installed, "build/Release/inlay.node");
    mkdirSync(join(stale, ".."), { recursive: true });
    writeFileSync(stale, "not an addon");
    expect(useInlay(["-e", LOAD])).toEqual({ status: 0, stdout: "256\n", stderr: "" });
    rmSync(join(installed, "build"), { recursive: true });
  });

  it("loads the addon that INLAY_ADDON names, and no other", () => {
    const [prebuild] = readdirSync(join(installed, "prebuilds", platform));
    cpSync(join(installed, "prebuilds", platform, prebuild!), join(consumer, "mine.node"));
    const hidden = join(work, "hidden");
    renameSync(join(installed, "prebuilds"), hidden);
    try {
      expect(useInlay(["-e", LOAD], { INLAY_ADDON: join(consumer, "mine.node") }).stdout).toBe("256\n");
      expect(useInlay(["-e", LOAD], { INLAY_ADDON: "./mine.node" }).stdout).toBe("256\n");
    } finally {
      renameSync(hidden, join(installed, "prebuilds"));
    }
    expect(useInlay(["-e", LOAD], { INLAY_ADDON: join(consumer, "none.node") }).stdout).toMatch(
      /^ERR_ADDON_LOAD .*none\.node/s,
    );
  });

  it("says how to build the addon where there is none for the platform", () => {
    const hidden = join(work, "hidden");
    renameSync(join(installed, "prebuilds"), hidden);
    try {
      expect(useInlay(["-e", LOAD]).stdout).toMatch(/^ERR_ADDON_LOAD .*npm explore inlay -- npm run build/);
    } finally {
      renameSync(hidden, join(installed, "prebuilds"));
    }
  });

  it("carries sources that CMake can configure, without a network", () => {
    const source = join(work, "source");
    mkdirSync(source);
    run("tar", ["-xzf", join(installed, "native/source.tgz"), "-C", source], work);
    const [command, ...args] = [...isolate, "cmake", "-S", source, "-B", join(source, "build")];
    expect(run(command!, args, source)).toMatch(/Build files have been written to/);
    const targets = run("cmake", ["--build", join(source, "build"), "--target", "help"], source);
    expect(targets).toMatch(/\binlay\b/);
  });

  it("stays small", () => {
    const bytes = readdirSync(installed, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
    expect(bytes).toBeLessThan(18e6);
  });
});
