// Bytes on disk that `npm install <package>` brings on this platform.
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "./peers/inlay.ts";

function folderBytes(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += entry.name === "node_modules" ? 0 : folderBytes(path);
    else if (entry.isFile()) bytes += lstatSync(path).size;
  }
  return bytes;
}

/** The folder of a package as Node would find it from another package's folder. */
function find(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

function dependencyFolders(folder: string, found = new Set<string>()): Set<string> {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  // What is optional and not for this platform is not there.
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
    const dependency = find(name, folder);
    if (dependency !== undefined && !found.has(dependency)) {
      found.add(dependency);
      dependencyFolders(dependency, found);
    }
  }
  return found;
}

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

/** What is packed of inlay, with this platform's addon only. */
function inlayBytes(): number {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: 1 << 26,
    }).toString(),
  ) as [{ files: { path: string; size: number }[] }];
  const here = `prebuilds/${process.platform}-${process.arch}/`;
  const files = packed.files.filter(({ path }) => !path.startsWith("prebuilds/") || path.startsWith(here));
  const addon = join(ROOT, "build", "Release", "inlay.node");
  const built = files.some(({ path }) => path.startsWith(here)) || !existsSync(addon) ? 0 : lstatSync(addon).size;
  return sum(files.map(({ size }) => size)) + built + sum([...dependencyFolders(ROOT)].map(folderBytes));
}

export function installedBytes(packageName: string): number | undefined {
  try {
    if (packageName === "inlay") return inlayBytes();
    const folder = find(packageName, __dirname);
    if (folder === undefined) return undefined;
    return sum([...dependencyFolders(folder).add(folder)].map(folderBytes));
  } catch {
    return undefined;
  }
}
