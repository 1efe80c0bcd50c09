#!/usr/bin/env node
// Makes what a checkout lacks, each part only where it is missing or older than its sources: node_modules, llama.cpp's
// sources, the addon, the built-in model, dist/. Says what it does on stderr, so that a command's stdout stays its own.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const at = (...parts) => join(root, ...parts);
const npm = process.platform === "win32" ? "npm.cmd" : "npm";

const steps = [
  {
    name: "installing dependencies",
    inputs: ["package-lock.json"],
    // npm's own record; it writes this before package-lock.json, seconds apart at most.
    output: "node_modules/.package-lock.json",
    slack: 60_000,
    // Not `npm ci`: it refuses a lock file that was written where the registry had no packages for other platforms.
    make: () => run(npm, ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]),
  },
  {
    name: "fetching llama.cpp's sources",
    inputs: ["vendor/lock.json"],
    output: "vendor/llama.cpp/.inlay-lock",
    make: () => run(process.execPath, [at("vendor/fetch.mjs")]),
  },
  {
    name: "building the addon (some minutes the first time)",
    inputs: ["CMakeLists.txt", "vendor/CMakeLists.txt", "vendor/lock.json", "native"],
    ignore: /[\\/]native[\\/](test|scripts)([\\/]|$)/,
    output: "build/.inlay-stamp",
    needs: [
      ["cmake", "CMake 3.21 or newer (https://cmake.org, or your system's package `cmake`)"],
      [
        process.platform === "win32" ? "cl" : "c++",
        "a C++17 compiler (your system's package `g++` or `clang`, Xcode's command line tools, or Visual Studio's build tools)",
      ],
    ],
    make: buildAddon,
  },
  {
    name: "making the built-in model",
    inputs: ["native/scripts/builtin-model.mjs", "native/scripts/builtin", "vendor/lock.json"],
    output: "models/.inlay-stamp",
    make: () => run(process.execPath, [at("native/scripts/builtin-model.mjs"), at("models/builtin.gguf")]),
  },
  {
    name: "compiling TypeScript",
    inputs: ["lib", "tsconfig.json", "tsconfig.build.json", "package-lock.json"],
    output: "dist/.inlay-stamp",
    make: () => {
      rmSync(at("dist"), { recursive: true, force: true });
      run(process.execPath, [at("node_modules/typescript/bin/tsc"), "-p", at("tsconfig.build.json")]);
    },
  },
];

export function prepare() {
  // npm publishes no lock file: this is an installed package, which can make nothing but its addon.
  if (!existsSync(at("package-lock.json"))) {
    const build = spawnSync(process.execPath, [at("native/scripts/source-build.mjs")], { stdio: "inherit" });
    process.exit(build.status ?? 1);
  }
  const stale = steps.filter(isStale);
  if (stale.length === 0) return;
  requireNode();
  for (const [i, step] of stale.entries()) {
    for (const [command, what] of step.needs ?? []) requireCommand(command, what);
    console.error(`[${i + 1}/${stale.length}] ${step.name}`);
    step.make();
    mkdirSync(dirname(at(step.output)), { recursive: true });
    if (existsSync(at(step.output))) utimesSync(at(step.output), new Date(), new Date());
    else writeFileSync(at(step.output), "");
  }
}

function isStale({ inputs, ignore, output, slack = 0 }) {
  if (!existsSync(at(output))) return true;
  const made = statSync(at(output)).mtimeMs + slack;
  return inputs.some((input) => newest(at(input), ignore) > made);
}

/** The latest change below a file or folder; -Infinity where it is not there. */
function newest(path, ignore) {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (!facts || ignore?.test(path)) return Number.NEGATIVE_INFINITY;
  if (!facts.isDirectory()) return facts.mtimeMs;
  return Math.max(facts.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name), ignore)));
}

function buildAddon() {
  const cmakeJs = at("node_modules/cmake-js/bin/cmake-js");
  const extra = (process.env.INLAY_CMAKE_OPTIONS ?? "")
    .split(" ")
    .filter(Boolean)
    .map((option) => option.replace(/^-D/, "--CD"));
  const common = ["--directory", root, "--out", at("build"), "--parallel", String(cpus().length), ...extra];
  run(process.execPath, [cmakeJs, "configure", ...common]);
  run(process.execPath, [cmakeJs, "build", ...common, "--target", "inlay"]);
}

function requireNode() {
  if (Number(process.versions.node.split(".")[0]) < 20)
    fail(`inlay needs Node 20 or newer, this is ${process.versions.node}.`);
  requireCommand("git", "git (https://git-scm.com, or your system's package `git`)");
}

function requireCommand(command, what) {
  const finder = process.platform === "win32" ? "where" : "which";
  if (spawnSync(finder, [command], { stdio: "ignore" }).status !== 0)
    fail(`\`${command}\` is missing: install ${what} and run this again.`);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    // Everything a build prints is progress.
    stdio: ["ignore", process.stderr, process.stderr],
    shell: process.platform === "win32" && command === npm,
  });
  if (error) fail(`${command} could not be run: ${error.message}`);
  if (status !== 0) fail(`${[command, ...args].join(" ")} failed; what it printed is above.`);
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) prepare();
