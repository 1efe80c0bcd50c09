#!/usr/bin/env node
// Builds the addon inside an installed package, from the sources it carries, without the network:
//   npm explore inlay -- npm run build
// INLAY_CMAKE_OPTIONS adds options for CMake, such as -DINLAY_CUDA=ON.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const build = join(root, "build");
const source = join(build, "source");
const objects = join(build, "objects");
const result = join(build, "Release", "inlay.node");

// CMake needs node.lib there, which only a checkout's cmake-js brings.
if (process.platform === "win32") fail("On Windows inlay builds in a checkout of its repository, not in a package.");
requireCommand("cmake", "CMake 3.21 or newer (https://cmake.org, or your system's package `cmake`)");
requireCommand("c++", "a C++17 compiler (your system's package `g++` or `clang`, or Xcode's command line tools)");

rmSync(source, { recursive: true, force: true });
mkdirSync(source, { recursive: true });
run("tar", ["-xzf", join(root, "native", "source.tgz"), "-C", source]);
const extra = (process.env.INLAY_CMAKE_OPTIONS ?? "").split(" ").filter(Boolean);
run("cmake", ["-S", source, "-B", objects, "-DCMAKE_BUILD_TYPE=Release", ...extra]);
run("cmake", ["--build", objects, "--target", "inlay", "--parallel", String(availableParallelism())]);
mkdirSync(dirname(result), { recursive: true });
renameSync(join(objects, "Release", "inlay.node"), result);
rmSync(source, { recursive: true });
rmSync(objects, { recursive: true });
console.error(`built ${result}`);
if (existsSync(join(root, "prebuilds", `${process.platform}-${process.arch}`)))
  console.error(`The package's own build for this platform goes first; to use this one, set INLAY_ADDON=${result}`);

function requireCommand(command, what) {
  if (spawnSync("which", [command], { stdio: "ignore" }).status !== 0)
    fail(`\`${command}\` is missing: install ${what} and run this again.`);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", process.stderr, process.stderr] });
  if (error) fail(`${command} could not be run: ${error.message}`);
  if (status !== 0) fail(`${[command, ...args].join(" ")} failed; what it printed is above.`);
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
