#!/usr/bin/env node
// Says whether a packed tarball is what may be published: every file that must be there, no other, and addons that
// export, need and demand of the system only what they may.
//   node native/scripts/verify-package.mjs <inlay-x.y.z.tgz> [--platforms linux-x64,linux-arm64,…]
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./prepare.mjs";

const FIXED = [
  "package.json",
  "README.md",
  "CHANGELOG.md",
  "LICENSE",
  "binding.gyp",
  "models/builtin.gguf",
  "native/source.tgz",
  "native/scripts/prepare.mjs",
  "native/scripts/source-build.mjs",
  "vendor/llama.cpp/LICENSE",
];
const ADDONS = {
  "linux-x64": ["node.napi.node", "node.napi.musl.node"],
  "linux-arm64": ["node.napi.armv8.node", "node.napi.armv8.musl.node"],
  "darwin-x64": ["node.napi.node"],
  "darwin-arm64": ["node.napi.armv8.node"],
  "win32-x64": ["node.napi.node"],
  "win32-arm64": ["node.napi.armv8.node"],
};
const SOURCES = {
  wanted: [
    "CMakeLists.txt",
    "native/addon/addon.cpp",
    "vendor/CMakeLists.txt",
    "vendor/lock.json",
    "vendor/llama.cpp/src/CMakeLists.txt",
    "vendor/llama.cpp/ggml/src/ggml-cpu/ggml-cpu.c",
    "vendor/llama.cpp/ggml/src/ggml-cuda/CMakeLists.txt",
    "vendor/llama.cpp/ggml/src/ggml-metal/CMakeLists.txt",
    "node_modules/node-addon-api/napi.h",
    "node_modules/node-api-headers/include/node_api.h",
  ],
  unwanted: /^native\/(test|scripts)\/|^vendor\/llama\.cpp\/models\/|ggml-(vulkan|sycl|opencl|hip|musa|cann|rpc)\//,
};
const EXPORTS = ["napi_register_module_v1", "node_api_module_get_api_version_v1"];
const SYSTEM_LIBRARY = /^(libc|libm|libdl|libpthread|librt|ld-linux-[\w-]+|libc\.musl-\w+)\.so(\.\d+)?$/;
const MOST_ADDON_BYTES = 12e6;

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { platforms: { type: "string" } },
});
if (positionals.length !== 1) {
  console.error("usage: node native/scripts/verify-package.mjs <inlay-x.y.z.tgz> [--platforms linux-x64,…]");
  process.exit(2);
}

const faults = [];
const folder = mkdtempSync(join(tmpdir(), "inlay-package-"));
try {
  execFileSync("tar", ["-xzf", positionals[0], "-C", folder]);
  verify(join(folder, "package"));
} finally {
  rmSync(folder, { recursive: true });
}
for (const fault of faults) console.error(`✗ ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;

function verify(unpacked) {
  const files = filesBelow(unpacked);
  const addons = files.filter((path) => path.startsWith("prebuilds/"));
  verifyList(files, addons);
  const sources = execFileSync("tar", ["-tzf", join(unpacked, "native/source.tgz")], { encoding: "utf8" }).split("\n");
  for (const path of SOURCES.wanted) if (!sources.includes(path)) faults.push(`native/source.tgz lacks ${path}`);
  for (const path of sources) if (SOURCES.unwanted.test(path)) faults.push(`native/source.tgz holds ${path}`);
  for (const path of addons) {
    if (path.startsWith("prebuilds/linux-")) verifyElf(join(unpacked, path), path);
  }
  const bytes = files.reduce((sum, path) => sum + statSync(join(unpacked, path)).size, 0);
  console.log(`${files.length} files, ${mega(statSync(positionals[0]).size)} packed, ${mega(bytes)} unpacked`);
}

function verifyList(files, addons) {
  const platforms = options.platforms?.split(",") ?? [`${process.platform}-${process.arch}`];
  const builds = platforms.flatMap((platform) =>
    (ADDONS[platform] ?? []).map((name) => `prebuilds/${platform}/${name}`),
  );
  // Without a list of platforms the package is for one machine, whose C library is one of the two.
  const needed = options.platforms ? builds : builds.filter((path) => addons.includes(path));
  if (needed.length === 0) faults.push(`no addon for ${platforms.join(", ")}`);
  const documents = filesBelow(join(root, "docs")).map((path) => `docs/${path}`);
  const expected = new Set([...FIXED, ...needed, ...compiled(), ...documents.filter((path) => path.endsWith(".md"))]);
  for (const path of expected) if (!files.includes(path)) faults.push(`missing: ${path}`);
  for (const path of files) if (!expected.has(path)) faults.push(`unexpected: ${path}`);
}

/** What tsc makes of lib/. */
function compiled() {
  return filesBelow(join(root, "lib")).flatMap((path) => {
    const [, name, kind] = /^(.*)\.(m?)ts$/.exec(path);
    return [`dist/${name}.${kind}js`, `dist/${name}.d.${kind}ts`];
  });
}

function verifyElf(path, name) {
  const read = (command, ...args) => execFileSync(command, [...args, path], { encoding: "utf8", maxBuffer: 1 << 26 });
  const defined = Array.from(read("nm", "-D", "--defined-only").matchAll(/ [A-Zuvw] (\S+)$/gm), ([, symbol]) => symbol);
  if (String(defined.sort()) !== String(EXPORTS))
    faults.push(`${name} exports ${defined.length} symbols: ${defined.slice(0, 5).join(", ")}, …`);
  const dynamic = read("readelf", "-dW");
  for (const [, library] of dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
    if (!SYSTEM_LIBRARY.test(library)) faults.push(`${name} needs ${library}`);
  }
  if (/\((RPATH|RUNPATH)\)/.test(dynamic)) faults.push(`${name} has a search path for libraries`);
  if (!/NODELETE/.test(dynamic)) faults.push(`${name} may be unmapped while its threads run`);
  const { size } = statSync(path);
  if (size > MOST_ADDON_BYTES) faults.push(`${name} has ${mega(size)}, more than ${mega(MOST_ADDON_BYTES)}`);
  console.log(`${name}: ${mega(size)}, ${newestGlibc(read("readelf", "-VW"))}`);
}

function newestGlibc(versions) {
  const found = Array.from(versions.matchAll(/GLIBC_(\d+)\.(\d+)/g), ([, major, minor]) => [
    Number(major),
    Number(minor),
  ]);
  if (found.length === 0) return "no glibc";
  const [major, minor] = found.reduce((a, b) => ((b[0] - a[0] || b[1] - a[1]) > 0 ? b : a));
  return `glibc ${major}.${minor} or newer`;
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)).replaceAll("\\", "/"));
}

function mega(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
