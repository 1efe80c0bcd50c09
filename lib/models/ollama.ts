import { open, readdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { InlayError } from "../errors.ts";
import type { ModelOptions } from "../types.ts";
import { checkFile, fileError } from "./files.ts";
import { localModel } from "./local.ts";
import { isDeviceName } from "./names.ts";
import type { LocalModel, ResolvedModel, SearchedPlace } from "./types.ts";

/** A name in Ollama's grammar: `[scheme://][host/][namespace/]model[:tag]`. */
export interface OllamaName {
  host: string;
  namespace: string;
  model: string;
  tag: string;
}

interface Layer {
  mediaType: string;
  digest: string;
  size: number;
}

interface Manifest {
  config?: Layer;
  layers: Layer[];
}

const DEFAULTS = { host: "registry.ollama.ai", namespace: "library", tag: "latest" };
const MAX_JSON = 4 << 20;
const DIGEST = /^sha256:([0-9a-f]{64})$/i;
const LAYER = "application/vnd.ollama.image.";

/**
 * Looks a name up in Ollama's own store, which is never written to. `undefined`: no store has it, or it is no name in
 * Ollama's grammar. Stores that this process may not read add to `denied`.
 *
 * @throws ERR_MODEL_UNSUPPORTED for cloud models, safetensors and adapters; ERR_MODEL_NOT_FOUND, ERR_MODEL_ACCESS,
 * ERR_MODEL_CORRUPT when a manifest is there and its blob is gone, unreadable or damaged
 */
export async function findOllama(name: string, denied: InlayError[] = []): Promise<ResolvedModel | undefined> {
  const parsed = parseOllamaName(name);
  if (parsed === undefined) return undefined;
  for (const { path: root } of ollamaRoots()) {
    const manifest = await findManifest(root, parsed, denied);
    if (manifest !== undefined) return fromManifest(name, root, manifest);
  }
  if (parsed.tag === "cloud" || parsed.tag.endsWith("-cloud")) throw remote(name);
  return undefined;
}

/** `undefined` for what Ollama's grammar does not allow. */
export function parseOllamaName(name: string): OllamaName | undefined {
  let rest = name.replace(/^[a-z]+:\/\//i, "").replace(/:local$/, "");
  const colon = rest.lastIndexOf(":");
  let tag = DEFAULTS.tag;
  if (colon > rest.lastIndexOf("/")) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
  }
  const parts = rest.split("/");
  if (parts.length > 3) return undefined;
  const model = parts.pop()!;
  const namespace = parts.pop() ?? DEFAULTS.namespace;
  const host = parts.pop() ?? DEFAULTS.host;
  const isPart = (part: string) => /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/.test(part) && !isDeviceName(part);
  const valid =
    isPart(model) &&
    isPart(tag) &&
    /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/.test(namespace) &&
    !isDeviceName(namespace) &&
    /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/.test(host);
  return valid ? { host, namespace, model, tag } : undefined;
}

export async function listOllama(): Promise<LocalModel[]> {
  const models = new Map<string, LocalModel>();
  for (const { path: root } of ollamaRoots()) {
    for (const parsed of await manifestNames(root)) {
      const name = shortest(parsed);
      if (models.has(name)) continue;
      const model = await listed(name, root, parsed);
      if (model !== undefined) models.set(name, model);
    }
  }
  return [...models.values()];
}

export async function ollamaPlaces(): Promise<SearchedPlace[]> {
  return Promise.all(
    ollamaRoots().map(async ({ path, detail }): Promise<SearchedPlace> => {
      const place = { source: "ollama" as const, path, detail };
      try {
        await readdir(join(path, "manifests"));
      } catch (error) {
        const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
        const state = missing ? "missing" : "unreadable";
        return { ...place, state, models: 0, detail: missing ? detail : (error as Error).message };
      }
      return { ...place, state: "found", models: (await manifestNames(path)).length };
    }),
  );
}

/** Where stores may be, first one first. A service's own OLLAMA_MODELS cannot be seen from outside. */
function ollamaRoots(): { path: string; detail?: string }[] {
  const roots: { path: string; detail?: string }[] = [];
  if (process.env.OLLAMA_MODELS) roots.push({ path: process.env.OLLAMA_MODELS, detail: "set by OLLAMA_MODELS" });
  roots.push({ path: join(homedir(), ".ollama", "models") });
  if (process.platform === "linux") {
    roots.push({ path: "/usr/share/ollama/.ollama/models", detail: "Ollama's service on Linux" });
    roots.push({ path: "/var/lib/ollama/models", detail: "Ollama's service in some distributions" });
  }
  return roots.filter(({ path }, index) => roots.findIndex((other) => other.path === path) === index);
}

/** Walks host, namespace, model and tag, taking whichever case the store has; the exact one first. */
async function findManifest(root: string, name: OllamaName, denied: InlayError[]): Promise<string | undefined> {
  let path = join(root, "manifests");
  for (const part of [name.host, name.namespace, name.model, name.tag]) {
    let entries: string[];
    try {
      entries = await readdir(path);
    } catch (error) {
      if (!isAbsent(error)) denied.push(fileError(error, path, shortest(name)));
      return undefined;
    }
    const wanted = part.toLowerCase();
    const match = entries.includes(part) ? part : entries.sort().find((entry) => entry.toLowerCase() === wanted);
    if (match === undefined) return undefined;
    path = join(path, match);
  }
  return (await stat(path).catch(() => undefined))?.isFile() ? path : undefined;
}

async function fromManifest(name: string, root: string, path: string): Promise<ResolvedModel> {
  const manifest = await readManifest(path, name);
  const config = manifest.config && (await readBlobJson(root, manifest.config, name));
  const ofType = (suffix: string) => manifest.layers.filter((layer) => layer.mediaType === LAYER + suffix);
  const model = ofType("model").at(-1);
  if (model === undefined && (config?.remote_host || config?.remote_model)) throw remote(name);
  if (config?.model_format === "safetensors" || ofType("tensor").length > 0) {
    throw unsupported(name, "is kept in Ollama as safetensors, which is not GGUF. Pull a GGUF of it instead");
  }
  if (ofType("adapter").length > 0) {
    throw unsupported(
      name,
      "is a LoRA adapter on another model. Merge it into its base model and convert that to GGUF",
    );
  }
  if (model === undefined) throw unsupported(name, "has no model layer in Ollama's manifest");
  const blob = await findBlob(root, model, name);
  const params = ofType("params").at(-1);
  const defaults = params && ((await readBlobJson(root, params, name)) as ModelOptions);
  return { name, path: blob, source: "ollama", sha256: digestOf(model, name), ...(defaults && { defaults }) };
}

async function readManifest(path: string, name: string): Promise<Manifest> {
  const manifest = (await readJson(path, name)) as Partial<Manifest>;
  const isLayer = (layer: Layer | undefined) =>
    typeof layer === "object" && layer !== null && typeof layer.mediaType === "string" && DIGEST.test(layer.digest);
  if (!Array.isArray(manifest.layers) || !manifest.layers.every(isLayer)) {
    throw corrupt(name, `its manifest ${path} lists no proper layers`);
  }
  if (manifest.config && !DIGEST.test(manifest.config.digest)) {
    throw corrupt(name, `its manifest ${path} names no proper config`);
  }
  return manifest as Manifest;
}

async function findBlob(root: string, layer: Layer, name: string): Promise<string> {
  const hex = digestOf(layer, name);
  // Ollama renames the files of its earliest versions, which have a colon, when it starts.
  const spellings = [`sha256-${hex}`, `sha256:${hex}`].map((file) => join(root, "blobs", file));
  for (const path of spellings) {
    try {
      const { stats } = await checkFile(path, name);
      if (Number.isSafeInteger(layer.size) && stats.size !== layer.size) {
        throw corrupt(name, `${path} has ${stats.size} bytes instead of ${layer.size}`);
      }
      return path;
    } catch (error) {
      if ((error as InlayError).code !== "ERR_MODEL_NOT_FOUND") throw error;
    }
  }
  throw new InlayError(
    "ERR_MODEL_NOT_FOUND",
    `Ollama lists ${name} but has no longer its file ${spellings[0]}. Bring it back with: ollama pull ${name}`,
  );
}

async function readBlobJson(root: string, layer: Layer, name: string): Promise<Record<string, unknown>> {
  return readJson(await findBlob(root, layer, name), name);
}

async function readJson(path: string, name: string): Promise<Record<string, unknown>> {
  const { stats } = await checkFile(path, name);
  if (stats.size > MAX_JSON) throw corrupt(name, `${path} has ${stats.size} bytes, too many for its kind`);
  let text: string;
  try {
    const file = await open(path, "r");
    text = await file.readFile("utf8").finally(() => file.close());
  } catch (error) {
    throw fileError(error, path, name);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new InlayError("ERR_MODEL_CORRUPT", `Ollama's ${path} (for ${name}) is not JSON. ${mend(name)}`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw corrupt(name, `${path} holds no object`);
  return json as Record<string, unknown>;
}

/** Every manifest's name. Folders that cannot be read and files at other depths are passed over. */
async function manifestNames(root: string): Promise<OllamaName[]> {
  const base = join(root, "manifests");
  const names: OllamaName[] = [];
  for (const host of await entriesOf(base, "folder")) {
    for (const namespace of await entriesOf(join(base, host), "folder")) {
      for (const model of await entriesOf(join(base, host, namespace), "folder")) {
        for (const tag of await entriesOf(join(base, host, namespace, model), "file")) {
          names.push({ host, namespace, model, tag });
        }
      }
    }
  }
  return names.filter((name) => parseOllamaName(shortest(name)) !== undefined);
}

async function entriesOf(folder: string, kind: "folder" | "file"): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => (kind === "file" ? entry.isFile() : entry.isDirectory())).map(({ name }) => name);
  } catch {
    return [];
  }
}

async function listed(name: string, root: string, parsed: OllamaName): Promise<LocalModel | undefined> {
  try {
    const path = join(root, "manifests", parsed.host, parsed.namespace, parsed.model, parsed.tag);
    const found = await fromManifest(name, root, path);
    return await localModel(name, "ollama", found.path, found.sha256);
  } catch (error) {
    const { code, message } = error as InlayError;
    // Manifests of other things than GGUF models are Ollama's business.
    if (code === "ERR_MODEL_UNSUPPORTED") return undefined;
    return { name, source: "ollama", path: root, bytes: 0, modified: new Date(0), problem: message };
  }
}

/** As Ollama itself shows a name: without the parts that are the defaults, but always with the tag. */
function shortest({ host, namespace, model, tag }: OllamaName): string {
  if (host !== DEFAULTS.host) return `${host}/${namespace}/${model}:${tag}`;
  return namespace === DEFAULTS.namespace ? `${model}:${tag}` : `${namespace}/${model}:${tag}`;
}

function digestOf(layer: Layer, name: string): string {
  const hex = DIGEST.exec(layer.digest)?.[1];
  if (hex === undefined) throw corrupt(name, `${layer.digest} is no digest`);
  return hex.toLowerCase();
}

function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
}

function corrupt(name: string, why: string): InlayError {
  return new InlayError("ERR_MODEL_CORRUPT", `${name} in Ollama's store is damaged: ${why}. ${mend(name)}`);
}

function mend(name: string): string {
  return `Mend it with: ollama pull ${name}`;
}

function unsupported(name: string, why: string): InlayError {
  return new InlayError("ERR_MODEL_UNSUPPORTED", `${name} ${why}.`);
}

function remote(name: string): InlayError {
  return unsupported(name, "runs in Ollama's cloud, not on this machine. Name a model whose weights can be pulled");
}
