import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "./environment.ts";
import { checkFile } from "./files.ts";
import { localModel } from "./local.ts";
import type { LocalModel, ResolvedModel, SearchedPlace } from "./types.ts";

/** Looks a URL's file up among those that were pulled: by content, so that mirrors share one file. */
export async function findHttps(name: string, sha256: string): Promise<ResolvedModel | undefined> {
  const wanted = urlFilePath(sha256);
  if ((await stat(wanted).catch(() => undefined)) === undefined) return undefined;
  const { path } = await checkFile(wanted, name);
  return { name, path, source: "https", sha256 };
}

export async function listHttps(): Promise<LocalModel[]> {
  const entries = await readdir(urlFolder()).catch(() => []);
  const hashes = entries.map((entry) => /^([0-9a-f]{64})\.gguf$/.exec(entry)?.[1]).filter((hash) => hash !== undefined);
  return Promise.all(
    hashes.map(async (sha256) => {
      const url = await readFile(join(urlFolder(), `${sha256}.url`), "utf8").catch(() => "");
      const name = url === "" ? urlFilePath(sha256) : `${url.trim()}#sha256=${sha256}`;
      return localModel(name, "https", urlFilePath(sha256), sha256);
    }),
  );
}

export async function httpsPlaces(): Promise<SearchedPlace[]> {
  const path = urlFolder();
  try {
    const models = (await readdir(path)).filter((entry) => entry.endsWith(".gguf")).length;
    return [{ source: "https", path, state: "found", models }];
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return [
      {
        source: "https",
        path,
        state: missing ? "missing" : "unreadable",
        models: 0,
        detail: missing ? undefined : (error as Error).message,
      },
    ];
  }
}

/** Where a file that came from a URL lies, named by its content. */
export function urlFilePath(sha256: string): string {
  return join(urlFolder(), `${sha256}.gguf`);
}

function urlFolder(): string {
  return join(cacheFolder(), "urls");
}
