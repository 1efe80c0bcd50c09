import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The folder of this package: the nearest one above this file whose package.json is ours. @internal */
export const packageRoot: string = findRoot(__dirname);

/** This package's version. */
export const version: string = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")).version;

function findRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && JSON.parse(readFileSync(file, "utf8")).name === "inlay") return folder;
    if (dirname(folder) === folder) throw new Error(`inlay's package.json is not above ${from}`);
  }
}
