import { randomInt } from "node:crypto";
import { link, mkdir, readlink, rename, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { catalogueReference } from "./catalogue.ts";
import { download, sizeOf } from "./download.ts";
import { offlineBy } from "./environment.ts";
import { fileError } from "./files.ts";
import { HttpClient, offline, plain } from "./http.ts";
import { findHttps, urlFilePath } from "./https.ts";
import { describeFile, type HubFile, hubEndpoint, hubToken } from "./hub.ts";
import { blobIn, findHuggingFace, ownHubCache, repositoryFolder } from "./huggingface.ts";
import { type HubReference, invalid } from "./names.ts";
import { syncFolder } from "./partial.ts";
import { followAliases, resolveModel } from "./resolve.ts";
import type { PullOptions, ResolvedModel } from "./types.ts";

/**
 * Fetches a model to this machine: a name of the catalogue, `hf:owner/repo…` or `https://…#sha256=…`. What is here
 * already and right is not fetched again. Its hash is checked before any name leads to it.
 *
 * @throws ERR_DOWNLOAD, ERR_OFFLINE, ERR_DISK_FULL, ERR_MODEL_ACCESS, ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT,
 * ERR_NAME_INVALID, or the signal's reason
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<ResolvedModel> {
  options.signal?.throwIfAborted();
  const { name: target, parsed } = await followAliases(name);
  switch (parsed.kind) {
    case "builtin":
    case "path":
      return resolveModel(name);
    case "https":
      return pullUrl(name, parsed.url, parsed.sha256, options);
    case "huggingface":
      return pullFromHub(name, parsed.reference, options);
    case "plain": {
      const reference = catalogueReference(target);
      if (reference !== undefined) return pullFromHub(name, reference, options);
      throw invalid(
        name,
        "it is not in the catalogue (inlay list --catalogue). Pull hf:owner/repo, or use ollama pull for Ollama's library",
      );
    }
  }
}

async function pullUrl(name: string, url: string, sha256: string, options: PullOptions): Promise<ResolvedModel> {
  const present = options.force ? undefined : await findHttps(name, sha256);
  if (present !== undefined) return present;
  const destination = urlFilePath(sha256);
  await withClient(url, undefined, async (client) => {
    const size = await sizeOf(client, url, options.signal);
    await download({ ...options, client, url, size, sha256, destination, name: plain(url) });
  });
  const note = destination.replace(/\.gguf$/, ".url");
  await coded(note, () => writeWhole(note, `${url}\n`));
  return { name, path: destination, source: "https", sha256 };
}

async function pullFromHub(name: string, reference: HubReference, options: PullOptions): Promise<ResolvedModel> {
  const forbidden = offlineBy();
  if (forbidden !== undefined) {
    const local = options.force ? undefined : await resolveModel(name).catch(() => undefined);
    if (local === undefined) throw offline(forbidden, name);
    return local;
  }
  const endpoint = hubEndpoint(options.endpoint);
  return withClient(endpoint, await hubToken(options.token), async (client) => {
    const file = await describeFile(client, endpoint, reference, options.signal);
    const present = options.force ? undefined : await blobIn(file.repo, file.sha256, file.size);
    if (present === "shared") {
      const shared = await findHuggingFace(name, { ...reference, file: file.file });
      if (shared?.sha256 === file.sha256) return shared;
    }
    const destination = join(repositoryFolder(ownHubCache(), file.repo), "blobs", file.sha256);
    if (present !== "own") {
      await download({ ...options, ...file, client, destination, name: `${file.repo}/${file.file}` });
    }
    const path = await coded(destination, () => linkSnapshot(file, reference.revision ?? "main"));
    return { name, path, source: "huggingface" as const, sha256: file.sha256 };
  });
}

async function withClient<T>(
  origin: string,
  token: string | undefined,
  work: (client: HttpClient) => Promise<T>,
): Promise<T> {
  const client = new HttpClient(origin, token);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

async function coded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Gives a blob its name in the hub's cache layout: a link in the commit's snapshot, and the revision's ref. */
async function linkSnapshot({ repo, file, commit, sha256 }: HubFile, revision: string): Promise<string> {
  const folder = repositoryFolder(ownHubCache(), repo);
  const path = join(folder, "snapshots", commit, ...file.split("/"));
  await mkdir(dirname(path), { recursive: true });
  await linkTo(join(folder, "blobs", sha256), path);
  if (revision !== commit) {
    const ref = join(folder, "refs", revision);
    await mkdir(dirname(ref), { recursive: true });
    await writeWhole(ref, commit);
  }
  return path;
}

async function linkTo(blob: string, path: string): Promise<void> {
  const target = relative(dirname(path), blob);
  if ((await readlink(path).catch(() => undefined)) === target) return;
  const fresh = temporary(path);
  try {
    await symlink(target, fresh);
  } catch (error) {
    if (!["EPERM", "ENOSYS", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    // Windows gives symbolic links to privileged users only.
    await link(blob, fresh);
  }
  await rename(fresh, path);
  await syncFolder(dirname(path));
}

async function writeWhole(path: string, text: string): Promise<void> {
  const fresh = temporary(path);
  await writeFile(fresh, text);
  await rename(fresh, path);
}

function temporary(path: string): string {
  return `${path}.${process.pid}-${randomInt(2 ** 47)}.new`;
}
