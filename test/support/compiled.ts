import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(__dirname, "..", "..");

/** Compiles a module of `lib/` and what it imports to CommonJS, for child processes. Returns the output folder. */
export function compile(...modules: string[]): string {
  mkdirSync(join(ROOT, "build"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, "build", "test-lib-"));
  const settings = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: { noEmit: false, rootDir: join(ROOT, "lib"), outDir: folder, declaration: false },
    include: [],
    files: modules.map((module) => join(ROOT, "lib", module)),
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings));
  execFileSync(process.execPath, [join(ROOT, "node_modules", "typescript", "bin", "tsc"), "-p", folder]);
  return folder;
}
