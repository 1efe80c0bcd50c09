import { readFile } from "node:fs/promises";
import { InlayError } from "../errors.ts";
import { checkStatus, failed, persist } from "./attempts.ts";
import type { HttpClient } from "./http.ts";
import { tokenFile } from "./huggingface.ts";
import { type HubReference, isSafeComponent } from "./names.ts";
import { chooseFile } from "./quantization.ts";

/** One file of a repository at one commit. */
export interface HubFile {
  repo: string;
  file: string;
  commit: string;
  /** Lower-case hex, as the hub states it. */
  sha256: string;
  size: number;
  url: string;
}

interface TreeEntry {
  type: string;
  path: string;
  size: number;
  lfs?: { oid?: string; size?: number };
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const MAX_JSON = 16 << 20;
const MAX_PAGES = 100;
const COMMIT = /^[0-9a-f]{40}$/;

/** The hub's address: the argument, `HF_ENDPOINT` or Hugging Face's own. */
export function hubEndpoint(given?: string): string {
  const endpoint = given || process.env.HF_ENDPOINT || DEFAULT_ENDPOINT;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new InlayError(
      "ERR_DOWNLOAD",
      `The hub's address ${JSON.stringify(endpoint)} (HF_ENDPOINT) is no http(s) URL.`,
    );
  }
  return endpoint.replace(/\/+$/, "");
}

/** The token that Hugging Face's tools would use; they strip blanks, and take an empty one for none. */
export async function hubToken(given?: string): Promise<string | undefined> {
  const token =
    given ??
    process.env.HF_TOKEN ??
    process.env.HUGGING_FACE_HUB_TOKEN ??
    (await readFile(tokenFile(), "utf8").catch(() => ""));
  const bare = token.trim();
  if (/[^\x21-\x7e]/.test(bare)) {
    throw new InlayError("ERR_MODEL_ACCESS", "The Hugging Face token holds characters that no token has.");
  }
  return bare === "" ? undefined : bare;
}

/** Finds out which file of which commit a reference means, and its hash. */
export async function describeFile(
  client: HttpClient,
  endpoint: string,
  reference: HubReference,
  signal?: AbortSignal,
): Promise<HubFile> {
  const { repo, revision = "main", quantization } = reference;
  const named = reference.file === undefined ? await listTree(client, endpoint, repo, revision, signal) : undefined;
  const file = reference.file ?? chooseFile([...named!.keys()], repo, quantization);
  if (!file.split("/").every(isSafeComponent)) throw failed(repo, `it has a file of the impossible name ${file}`);
  const url = `${endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${encodePath(file)}`;
  const head = await persist({ name: `${repo}/${file}`, signal }, async () => {
    const answer = await client.get(url, { method: "HEAD", redirects: "same-origin", signal });
    answer.discard();
    const redirects = answer.status >= 300 && answer.status < 400;
    if (!redirects) checkStatus(answer, `${repo}/${file}`);
    return answer;
  });
  const commit = head.header("x-repo-commit") ?? (COMMIT.test(revision) ? revision : undefined);
  if (commit === undefined || !COMMIT.test(commit)) throw failed(repo, "the hub does not say which commit it is at");
  const linked = /^(?:W\/)?"?([0-9a-f]{64})"?$/i.exec(head.header("x-linked-etag") ?? head.header("etag") ?? "")?.[1];
  const size = Number(head.header("x-linked-size") ?? Number.NaN);
  const pinned = `${endpoint}/${repo}/resolve/${commit}/${encodePath(file)}`;
  if (linked !== undefined && Number.isSafeInteger(size)) {
    return { repo, file, commit, sha256: linked.toLowerCase(), size, url: pinned };
  }
  // Mirrors may drop those headers; the listing has the same facts.
  const entry = (named ?? (await listTree(client, endpoint, repo, commit, signal))).get(file);
  const sha256 = /^[0-9a-f]{64}$/.exec(entry?.lfs?.oid ?? "")?.[0];
  if (entry === undefined || sha256 === undefined) throw failed(`${repo}/${file}`, "the hub does not state its hash");
  return { repo, file, commit, sha256, size: entry.lfs?.size ?? entry.size, url: pinned };
}

/** Every file of a revision, by path. */
async function listTree(
  client: HttpClient,
  endpoint: string,
  repo: string,
  revision: string,
  signal?: AbortSignal,
): Promise<Map<string, TreeEntry>> {
  const files = new Map<string, TreeEntry>();
  const first = `${endpoint}/api/models/${repo}/tree/${encodeURIComponent(revision)}?recursive=true`;
  let url: string | undefined = first;
  for (let page = 0; url !== undefined; page++) {
    if (page === MAX_PAGES) throw failed(repo, "its list of files has no end");
    const { entries, next } = await readPage(client, url, repo, signal);
    for (const entry of entries) if (entry.type === "file") files.set(entry.path, entry);
    url = next;
  }
  return files;
}

async function readPage(
  client: HttpClient,
  url: string,
  repo: string,
  signal?: AbortSignal,
): Promise<{ entries: TreeEntry[]; next?: string }> {
  return persist({ name: repo, signal }, async () => {
    const answer = await client.get(url, { accept: "application/json", signal });
    try {
      checkStatus(answer, repo);
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > MAX_JSON) throw failed(repo, "its list of files is too long");
        chunks.push(chunk);
      }
      const entries = parseEntries(Buffer.concat(chunks).toString("utf8"), repo);
      const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header("link") ?? "")?.[1];
      return { entries, next: next && sameOrigin(next, url, repo) };
    } finally {
      answer.discard();
    }
  });
}

function parseEntries(text: string, repo: string): TreeEntry[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw failed(repo, "the hub's list of its files is not JSON", cause);
  }
  const isEntry = (entry: TreeEntry | null) =>
    typeof entry === "object" && typeof entry?.path === "string" && typeof entry.type === "string";
  if (!Array.isArray(json) || !json.every(isEntry)) throw failed(repo, "the hub's list of its files is malformed");
  return json;
}

/** The next page's address; one on another host is not followed. */
function sameOrigin(next: string, current: string, repo: string): string {
  const url = URL.canParse(next, current) ? new URL(next, current) : undefined;
  if (url?.origin !== new URL(current).origin) throw failed(repo, "the list of its files goes on elsewhere");
  return url.href;
}

function encodePath(file: string): string {
  return file.split("/").map(encodeURIComponent).join("/");
}
