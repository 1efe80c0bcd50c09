import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join, relative, sep } from "node:path";
import type { InlayError } from "../errors.ts";
import { cacheFolder } from "./environment.ts";
import { checkFile } from "./files.ts";
import { localModel } from "./local.ts";
import type { HubReference } from "./names.ts";
import { chooseFile } from "./quantization.ts";
import type { LocalModel, ResolvedModel, SearchedPlace } from "./types.ts";

const COMMIT = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;
/** Folders below a snapshot that are looked into; the hub's own repositories rarely have more than one. */
const MAX_DEPTH = 8;

/**
 * Looks a repository's file up in the caches of the hub's layout: this package's own, then the one that the tools of
 * Hugging Face share. Of a cache the wanted revision's snapshot goes first, then, where no revision was asked for, the
 * newest that has the file.
 */
export async function findHuggingFace(
  name: string,
  reference: HubReference,
  caches = hubCaches().map(({ path }) => path),
): Promise<ResolvedModel | undefined> {
  let refusal: InlayError | undefined;
  for (const cache of caches) {
    for (const snapshot of await snapshotsOf(cache, reference)) {
      const file = await fileIn(snapshot, reference).catch((error: InlayError) => {
        refusal ??= error;
        return undefined;
      });
      if (file === undefined) continue;
      const { path } = await checkFile(join(snapshot, ...file.split("/")), name);
      return { name, path, source: "huggingface", ...(await vouched(path)) };
    }
  }
  if (refusal?.code === "ERR_MODEL_UNSUPPORTED") throw refusal;
  return undefined;
}

export async function listHuggingFace(): Promise<LocalModel[]> {
  const models = new Map<string, LocalModel>();
  for (const { path: cache } of hubCaches()) {
    for (const repo of await repositoriesIn(cache)) {
      for (const snapshot of await snapshotsOf(cache, { repo })) {
        for (const file of await ggufFilesIn(snapshot)) {
          const name = `hf:${repo}/${file}`;
          if (models.has(name)) continue;
          const path = join(snapshot, ...file.split("/"));
          models.set(name, await localModel(name, "huggingface", path, (await vouched(path)).sha256));
        }
      }
    }
  }
  return [...models.values()];
}

export async function huggingFacePlaces(): Promise<SearchedPlace[]> {
  return Promise.all(
    hubCaches().map(async ({ path, detail }): Promise<SearchedPlace> => {
      try {
        await readdir(path);
      } catch (error) {
        const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
        return {
          source: "huggingface",
          path,
          state: missing ? "missing" : "unreadable",
          models: 0,
          detail: missing ? detail : (error as Error).message,
        };
      }
      let models = 0;
      for (const repo of await repositoriesIn(path)) {
        const files = new Set<string>();
        for (const snapshot of await snapshotsOf(path, { repo })) {
          for (const file of await ggufFilesIn(snapshot)) files.add(file);
        }
        models += files.size;
      }
      return { source: "huggingface", path, state: "found", models, detail };
    }),
  );
}

/** This package's own cache of the hub's layout; `HF_HUB_CACHE` may be pointed at it. */
export function ownHubCache(): string {
  return join(cacheFolder(), "hub");
}

/** `models--owner--repo`, the folder of a repository in a cache. */
export function repositoryFolder(cache: string, repo: string): string {
  return join(cache, `models--${repo.replace("/", "--")}`);
}

/** Which cache holds a blob whole: this package's own or the shared one. */
export async function blobIn(repo: string, sha256: string, size: number): Promise<"own" | "shared" | undefined> {
  for (const { path: cache } of hubCaches()) {
    const stats = await stat(join(repositoryFolder(cache, repo), "blobs", sha256)).catch(() => undefined);
    if (stats?.isFile() && stats.size === size) return cache === ownHubCache() ? "own" : "shared";
  }
  return undefined;
}

/** Where the tools of Hugging Face keep their token. */
export function tokenFile(): string {
  return process.env.HF_TOKEN_PATH || join(hubHome(), "token");
}

function hubCaches(): { path: string; detail?: string }[] {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME } = process.env;
  const detail = HF_HUB_CACHE
    ? "set by HF_HUB_CACHE"
    : HUGGINGFACE_HUB_CACHE
      ? "set by HUGGINGFACE_HUB_CACHE"
      : HF_HOME
        ? "set by HF_HOME"
        : undefined;
  const shared = { path: HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(hubHome(), "hub"), detail };
  const own = { path: ownHubCache(), detail: "what inlay pull downloads" };
  return own.path === shared.path ? [own] : [own, shared];
}

function hubHome(): string {
  return process.env.HF_HOME || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
}

async function repositoriesIn(cache: string): Promise<string[]> {
  const entries = await readdir(cache).catch(() => []);
  return entries
    .map((entry) => /^models--([^-].*?)--(.+)$/.exec(entry))
    .filter((match) => match !== null)
    .map(([, owner, repo]) => `${owner}/${repo}`);
}

/** The snapshot folders that may serve a reference, best first. */
async function snapshotsOf(cache: string, { repo, revision }: HubReference): Promise<string[]> {
  const folder = repositoryFolder(cache, repo);
  const wanted = revision ?? "main";
  const commit = COMMIT.test(wanted) ? wanted : await readRef(join(folder, "refs", wanted));
  const pinned = commit === undefined ? [] : [join(folder, "snapshots", commit)];
  if (revision !== undefined) return pinned;
  const others: { path: string; time: number }[] = [];
  for (const entry of await readdir(join(folder, "snapshots")).catch(() => [])) {
    const path = join(folder, "snapshots", entry);
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() && path !== pinned[0]) others.push({ path, time: stats.mtimeMs });
  }
  return [...pinned, ...others.sort((a, b) => b.time - a.time).map(({ path }) => path)];
}

async function readRef(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  const commit = text.trim();
  // Tools that find no commit write the file's own id there: any plain name serves.
  return /^[0-9a-zA-Z]{1,128}$/.test(commit) ? commit : undefined;
}

async function fileIn(snapshot: string, reference: HubReference): Promise<string | undefined> {
  const files = await ggufFilesIn(snapshot);
  if (reference.file !== undefined) return files.includes(reference.file) ? reference.file : undefined;
  return files.length === 0 ? undefined : chooseFile(files, reference.repo, reference.quantization);
}

/** Paths below a snapshot, with `/`, of the files that are really there: a link whose blob was deleted is not. */
async function ggufFilesIn(snapshot: string, folder = snapshot, depth = 0): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth < MAX_DEPTH) files.push(...(await ggufFilesIn(snapshot, path, depth + 1)));
    if (!/\.gguf$/i.test(entry.name)) continue;
    if ((await stat(path).catch(() => undefined))?.isFile()) files.push(relative(snapshot, path).split(sep).join("/"));
  }
  return files;
}

/** A blob of the hub that is kept in LFS has its content's SHA-256 for a name. */
async function vouched(path: string): Promise<{ sha256?: string }> {
  const blob = basename(await realpath(path).catch(() => ""));
  return SHA256.test(blob) ? { sha256: blob } : {};
}
