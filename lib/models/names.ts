import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InlayError } from "../errors.ts";

/** A GGUF in a repository of the Hugging Face hub. */
export interface HubReference {
  /** `owner/repo`. */
  repo: string;
  /** Branch, tag or commit; default `main`. */
  revision?: string;
  /** Path inside the repository. */
  file?: string;
  /** Quantisation as file names spell it, such as `Q8_0`. */
  quantization?: string;
}

export type ParsedName =
  | { kind: "builtin" }
  | { kind: "path"; path: string }
  | { kind: "huggingface"; reference: HubReference; ollama?: string }
  | { kind: "https"; url: string; sha256: string }
  | { kind: "plain"; name: string };

const MAX_NAME = 4096;
// COM¹ and its like are device names too: Microsoft, "Naming Files, Paths, and Namespaces".
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;
const HUB_HOST = /^(?:https:\/\/)?(?:www\.)?(hf\.co|huggingface\.co)\//i;
const HUB_PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const QUANTIZATION = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/;
const PAGES = new Set(["resolve", "blob", "raw", "tree"]);

/** Tells what kind of name this is from its spelling alone. `ERR_NAME_INVALID` for what can be no name. */
export function parseName(name: string): ParsedName {
  if (typeof name !== "string" || name === "") throw invalid(name, "it is empty");
  if (name.length > MAX_NAME) throw invalid(`${name.slice(0, 40)}…`, `it is longer than ${MAX_NAME} characters`);
  const control = [...name].find((character) => character < " " || character === "\x7f");
  if (control !== undefined) {
    throw invalid(name, `it holds the control character U+${control.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
  if (name === "builtin") return { kind: "builtin" };
  if (/^file:/i.test(name)) return { kind: "path", path: checkedPath(name, fromFileUrl(name)) };
  if (/^hf:/i.test(name)) return { kind: "huggingface", reference: parseHub(name, name.slice(3)) };
  if (HUB_HOST.test(name) && !name.includes("#")) {
    const reference = parseHub(name, name.replace(HUB_HOST, "").replace(/[?].*$/, ""));
    return /^https:/i.test(name)
      ? { kind: "huggingface", reference }
      : { kind: "huggingface", reference, ollama: name };
  }
  if (/^https?:\/\//i.test(name)) return parseUrl(name);
  if (isExplicitPath(name)) return { kind: "path", path: checkedPath(name, absolute(name)) };
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(name)?.[1];
  if (scheme !== undefined) throw invalid(name, `"${scheme}:" is no source of models`);
  return { kind: "plain", name };
}

/** Whether the spelling alone says that this is a path: it starts like one or ends in `.gguf`. */
export function isExplicitPath(name: string): boolean {
  return isAbsolute(name) || /^(\.{1,2}|~)?[\\/]|^[a-z]:[\\/]|\\|\.gguf$/i.test(name);
}

/** An absolute path; `~/` is the home folder. */
export function absolute(path: string): string {
  return /^~[\\/]/.test(path) ? join(homedir(), path.slice(2)) : resolve(path);
}

/** Whether Windows takes this path component for a device, whatever its extension. */
export function isDeviceName(component: string): boolean {
  return DEVICE.test(component.split(".")[0]!.trimEnd());
}

/** Whether a component from outside may become part of a path below a folder of ours. */
export function isSafeComponent(component: string): boolean {
  return (
    component !== "" &&
    !/^\.{1,2}$|[\\/:*?"<>|]|[. ]$/.test(component) &&
    ![...component].some((character) => character < " ") &&
    Buffer.byteLength(component) <= 255 &&
    !isDeviceName(component)
  );
}

export function invalid(name: unknown, why: string): InlayError {
  return new InlayError("ERR_NAME_INVALID", `${JSON.stringify(name)} is not a model name: ${why}.`);
}

function fromFileUrl(name: string): string {
  try {
    return fileURLToPath(name);
  } catch (cause) {
    throw new InlayError(
      "ERR_NAME_INVALID",
      `${JSON.stringify(name)} is not a file URL that names a local file: ${(cause as Error).message}.`,
      { cause },
    );
  }
}

function checkedPath(name: string, path: string): string {
  if (path.includes("\0")) throw invalid(name, "it holds a NUL");
  if (process.platform === "win32" && (/^\\\\\.\\/.test(path) || path.split(/[\\/]/).some(isDeviceName))) {
    throw invalid(name, "it names a device");
  }
  return path;
}

function parseUrl(name: string): ParsedName {
  let url: URL;
  try {
    url = new URL(name);
  } catch (cause) {
    throw new InlayError("ERR_NAME_INVALID", `${JSON.stringify(name)} is not a URL.`, { cause });
  }
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !local) throw invalid(name, "models come over https only");
  if (url.username !== "" || url.password !== "") throw invalid(name, "a name carries no user or password");
  const sha256 = /^#sha256[=:]([0-9a-f]{64})$/i.exec(url.hash)?.[1]?.toLowerCase();
  if (sha256 === undefined)
    throw invalid(name, "a URL needs the file's hash, as in https://…/model.gguf#sha256=<64 hex>");
  url.hash = "";
  return { kind: "https", url: url.href, sha256 };
}

/** `owner/repo[@revision][/file][:quantization]`, or what follows the host in the hub's own addresses. */
function parseHub(name: string, rest: string): HubReference {
  let path = rest;
  let quantization: string | undefined;
  const colon = path.lastIndexOf(":");
  if (colon > path.lastIndexOf("/")) {
    quantization = path.slice(colon + 1);
    path = path.slice(0, colon);
    if (!QUANTIZATION.test(quantization)) throw invalid(name, `":${quantization}" is no quantisation such as Q8_0`);
    if (quantization.toLowerCase() === "latest") quantization = undefined;
  }
  const [owner = "", repoAndRevision = "", ...tail] = path.split("/");
  const [repo = "", ...revisions] = repoAndRevision.split("@");
  let revision = revisions.length === 0 ? undefined : revisions.join("@");
  if (owner === "" || repo === "") throw invalid(name, "a repository is owner/repo");
  for (const part of [owner, repo]) {
    if (!HUB_PART.test(part) || /--|\.\./.test(part) || isDeviceName(part)) {
      throw invalid(name, `a repository is owner/repo, and ${JSON.stringify(part)} can be neither`);
    }
  }
  if (revision === undefined && PAGES.has(tail[0] ?? "") && tail.length >= 2) {
    revision = tail[1];
    tail.splice(0, 2);
  }
  if (revision !== undefined && !REVISION.test(revision)) {
    throw invalid(name, `${JSON.stringify(revision)} is no revision`);
  }
  if (tail.at(-1) === "") tail.pop();
  const reference: HubReference = { repo: `${owner}/${repo}` };
  if (revision !== undefined && revision !== "main") reference.revision = revision;
  if (tail.length > 0) {
    const bad = tail.find((part) => !isSafeComponent(part));
    if (bad !== undefined) throw invalid(name, `${JSON.stringify(bad)} cannot be part of a file's path`);
    if (!/\.gguf$/i.test(tail.at(-1)!)) throw invalid(name, "a file in a repository ends in .gguf");
    reference.file = tail.join("/");
  }
  if (quantization !== undefined) reference.quantization = quantization;
  return reference;
}
