#!/usr/bin/env node
// Writes native/source.tgz, the sources that a published package carries: what CMake needs to build the addon, nothing
// else, and the same bytes for the same sources.
//   node native/scripts/source-archive.mjs [<path of the archive>]
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { root } from "./prepare.mjs";

const PARTS = [
  "LICENSE",
  "CMakeLists.txt",
  "native",
  "vendor/CMakeLists.txt",
  "vendor/lock.json",
  "vendor/llama.cpp/LICENSE",
  "vendor/llama.cpp/include",
  "vendor/llama.cpp/src",
  "vendor/llama.cpp/ggml",
  "node_modules/node-addon-api",
  "node_modules/node-api-headers",
];
const NEEDED = /(\.(c|cc|cpp|h|hpp|inc|cu|cuh|m|metal|map|cmake|in)|CMakeLists\.txt|LICENSE(\.md)?|lock\.json)$/;
const LEFT_OUT = [
  /^native\/(test|scripts)\//,
  // The backends that INLAY_CUDA, INLAY_METAL and the CPU build are not made of.
  /^vendor\/llama\.cpp\/ggml\/src\/ggml-(?!cpu\/|cuda\/|metal\/)[a-z]+\//,
  /^node_modules\/node-api-headers\/(?!include\/|LICENSE)/,
];

const archive = resolve(process.argv[2] ?? join(root, "native", "source.tgz"));
const files = PARTS.flatMap(filesBelow)
  .filter((path) => NEEDED.test(path) && !LEFT_OUT.some((pattern) => pattern.test(path)))
  .sort();
const reproducible = ["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rw,go=r"];
execFileSync("tar", ["--create", ...reproducible, "--use-compress-program=gzip -9n", "-f", archive, "-T", "-"], {
  cwd: root,
  input: files.join("\n"),
});
console.log(
  `${relative(process.cwd(), archive)}: ${files.length} files, ${(statSync(archive).size / 1e6).toFixed(1)} MB`,
);

function filesBelow(path) {
  const full = join(root, path);
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full).flatMap((name) => filesBelow(`${path}/${name}`));
}
