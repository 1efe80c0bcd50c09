import { lstat, readdir, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InlayError } from "../errors.ts";
import { catalogueReference } from "./catalogue.ts";
import { fileError } from "./files.ts";
import { findHttps } from "./https.ts";
import { findHuggingFace, ownHubCache, repositoryFolder } from "./huggingface.ts";
import type { HubReference } from "./names.ts";
import { followAliases, resolveModel } from "./resolve.ts";
import type { RemovedModel } from "./types.ts";

/**
 * Removes what {@link pullModel} fetched. Files that belong to others (Ollama's store, the shared Hugging Face cache,
 * a path) are left alone.
 *
 * @throws ERR_MODEL_ACCESS for models that are not this package's, ERR_MODEL_NOT_FOUND
 */
export async function removeModel(name: string): Promise<RemovedModel> {
  const { name: target, parsed } = await followAliases(name);
  const paths =
    parsed.kind === "https"
      ? await urlFiles(name, parsed.sha256)
      : await hubFiles(name, parsed.kind === "huggingface" ? parsed.reference : catalogueReference(target));
  if (paths.length === 0) throw await notOurs(name);
  let bytes = 0;
  try {
    for (const path of paths) {
      const stats = await lstat(path);
      await rm(path);
      if (stats.isFile() && stats.nlink === 1) bytes += stats.size;
    }
  } catch (error) {
    throw fileError(error, paths[0]!, name);
  }
  await removeEmptyFolders(paths);
  return { name, paths, bytes };
}

async function urlFiles(name: string, sha256: string): Promise<string[]> {
  const found = await findHttps(name, sha256);
  if (found === undefined) return [];
  const note = found.path.replace(/\.gguf$/, ".url");
  return (await exists(note)) ? [found.path, note] : [found.path];
}

/** The links of every snapshot, symbolic or hard, that lead to the model's blob, then the blob. */
async function hubFiles(name: string, reference: HubReference | undefined): Promise<string[]> {
  const found = reference && (await findHuggingFace(name, reference, [ownHubCache()]));
  if (found === undefined) return [];
  const { ino } = await stat(found.path);
  const folder = repositoryFolder(ownHubCache(), reference!.repo);
  const same: string[] = [];
  for (const below of ["snapshots", "blobs"]) {
    for (const entry of await readdir(join(folder, below), { recursive: true })) {
      const path = join(folder, below, entry);
      if ((await stat(path).catch(() => undefined))?.ino === ino) same.push(path);
    }
  }
  return same;
}

async function notOurs(name: string): Promise<InlayError> {
  const found = await resolveModel(name).catch((error: InlayError) => error);
  if (found instanceof InlayError) return found;
  const advice =
    found.source === "ollama"
      ? `Remove it with: ollama rm ${name}`
      : found.source === "huggingface"
        ? "Remove it with Hugging Face's tools: hf cache delete"
        : "Delete the file itself if it is not needed";
  return new InlayError("ERR_MODEL_ACCESS", `inlay did not fetch ${found.path}, so it does not remove it. ${advice}.`);
}

async function removeEmptyFolders(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    let folder = dirname(path);
    // rmdir leaves folders that are not empty alone.
    while (folder !== ownHubCache() && folder.startsWith(ownHubCache())) {
      try {
        await rmdir(folder);
      } catch {
        break;
      }
      folder = dirname(folder);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
