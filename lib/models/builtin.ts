import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InlayError } from "../errors.ts";
import { checkFile } from "./files.ts";
import { localModel } from "./local.ts";
import type { LocalModel, ResolvedModel, SearchedPlace } from "./types.ts";

/** The model that ships with the package. */
export async function findBuiltin(name: string): Promise<ResolvedModel> {
  const wanted = builtinPath();
  try {
    const { path } = await checkFile(wanted, name);
    return { name, path, source: "builtin" };
  } catch (cause) {
    if ((cause as InlayError).code !== "ERR_MODEL_NOT_FOUND") throw cause;
    throw new InlayError(
      "ERR_MODEL_NOT_FOUND",
      `The built-in model is not at ${wanted}. The package is incomplete: install it again, or in a checkout run npm run build.`,
      { cause },
    );
  }
}

export async function listBuiltin(): Promise<LocalModel[]> {
  const path = builtinPath();
  try {
    const file = await checkFile(path, "builtin");
    return [await localModel("builtin", "builtin", file.path)];
  } catch {
    return [];
  }
}

export async function builtinPlaces(): Promise<SearchedPlace[]> {
  const path = builtinPath();
  try {
    const file = await checkFile(path, "builtin");
    return [{ source: "builtin", path: file.path, state: "found", models: 1 }];
  } catch (error) {
    const missing = (error as InlayError).code === "ERR_MODEL_NOT_FOUND";
    return [
      {
        source: "builtin",
        path,
        state: missing ? "missing" : "unreadable",
        models: 0,
        detail: (error as Error).message,
      },
    ];
  }
}

function builtinPath(): string {
  return join(packageRoot(__dirname), "models", "builtin.gguf");
}

function packageRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    try {
      if (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).name === "inlay") return folder;
    } catch {
      // No package.json here, or not one: look further up.
    }
    if (dirname(folder) === folder) {
      // Bundled away from its package.json: the model is then expected two folders up, as from dist/models.
      return join(from, "..", "..");
    }
  }
}
