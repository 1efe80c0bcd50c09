#!/usr/bin/env node
// Puts the addon where an installed package looks for it: prebuilds/<platform>-<arch>/node.napi[.armv8][.musl].node,
// the names that node-gyp-build and @electron/rebuild know (docs/packaging.md).
//   node native/scripts/prebuild.mjs [--out <folder that gets prebuilds/>]
import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { prepare, root } from "./prepare.mjs";

const { values: options } = parseArgs({ options: { out: { type: "string", default: root } } });

prepare();
const target = resolve(options.out, "prebuilds", `${process.platform}-${process.arch}`, fileName());
mkdirSync(dirname(target), { recursive: true });
copyFileSync(join(root, "build", "Release", "inlay.node"), target);
console.log(`${relative(process.cwd(), target)}: ${(statSync(target).size / 1e6).toFixed(1)} MB`);

// glibc has no tag: @electron/rebuild does not know one, and on musl the tagged file is the more specific one.
function fileName() {
  const tags = [process.arch === "arm64" && "armv8", isMusl() && "musl"].filter(Boolean);
  return ["node.napi", ...tags, "node"].join(".");
}

function isMusl() {
  if (process.platform !== "linux") return false;
  process.report.excludeNetwork = true; // else the report looks up the names of open connections
  return process.report.getReport().header.glibcVersionRuntime === undefined;
}
