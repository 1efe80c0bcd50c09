/** Longest name that is looked up, or repeated in an answer. */
const MAX_NAME = 1024;
const PART = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/;
const NAMESPACE = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/;
const HOST = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/;
/** Prefix of names on Hugging Face: hf:owner/repository, with a file or a quantisation behind it. */
const HUGGING_FACE =
  /^hf:[A-Za-z0-9_][A-Za-z0-9_.-]*\/[A-Za-z0-9_][A-Za-z0-9_.-]*([:/@#][A-Za-z0-9_][A-Za-z0-9_./@:-]*)?$/;

/**
 * Whether a request may name a model so: `[host/][namespace/]model[:tag]` of Ollama's grammar, or `hf:owner/repository`.
 * Paths and addresses are not names: a request never chooses a file of this machine or a host to call.
 */
export function isModelName(raw: string): boolean {
  const name = raw.trim();
  if (name.length > MAX_NAME) return false;
  if (name.startsWith("hf:")) return HUGGING_FACE.test(name) && !name.includes("..");
  if (/\.gguf$/i.test(name)) return false;
  const { path, tag } = splitTag(name);
  if (tag !== undefined && !PART.test(tag)) return false;
  const parts = path.split("/");
  const model = parts.pop()!;
  const namespace = parts.pop();
  const host = parts.pop();
  if (parts.length > 0 || !PART.test(model)) return false;
  if (namespace !== undefined && !NAMESPACE.test(namespace)) return false;
  return host === undefined || HOST.test(host);
}

/** `name:latest` for a name without a tag, as Ollama writes names in its lists. */
export function withTag(name: string): string {
  return name.startsWith("hf:") || splitTag(name).tag !== undefined ? name : `${name}:latest`;
}

/** A name for comparing: without the tag `:latest`, in lower case. */
export function bareName(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/:latest$/, "");
}

function splitTag(name: string): { path: string; tag: string | undefined } {
  const colon = name.lastIndexOf(":");
  if (colon === -1 || colon < name.lastIndexOf("/")) return { path: name, tag: undefined };
  return { path: name.slice(0, colon), tag: name.slice(colon + 1) };
}
