import { InlayError } from "../errors.ts";
import { findAlias } from "./aliases.ts";
import { findBuiltin } from "./builtin.ts";
import { catalogueReference } from "./catalogue.ts";
import { isRegularFile } from "./files.ts";
import { findHttps } from "./https.ts";
import { findHuggingFace } from "./huggingface.ts";
import { absolute, invalid, type ParsedName, parseName } from "./names.ts";
import { findOllama } from "./ollama.ts";
import { findPath } from "./path.ts";
import type { ResolvedModel, ResolveOptions } from "./types.ts";
import { recordUse } from "./usage.ts";

const MAX_ALIASES = 8;

/**
 * Finds a model's file on this machine; never touches the network. An alias goes first. Then the spelling decides:
 * `builtin`, a path or `file:` URL, `hf:owner/repo…`, `https://…#sha256=…`. Any other name is looked for in Ollama's
 * store, then as a name of the catalogue in the Hugging Face caches, then as a file in the current folder.
 *
 * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_ACCESS, ERR_MODEL_CORRUPT, ERR_MODEL_UNSUPPORTED, ERR_NAME_INVALID
 */
export async function resolveModel(name: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
  const { name: target, parsed } = await followAliases(name, options);
  options.signal?.throwIfAborted();
  const found = { ...(await locate(target, parsed, options)), name };
  if (found.source !== "builtin" && found.source !== "path") await recordUse(found.path, found.source);
  return found;
}

/** What a name means once the alias file has been asked. */
export async function followAliases(
  name: string,
  { allowPaths = true }: ResolveOptions = {},
): Promise<{ name: string; parsed: ParsedName }> {
  let current = name;
  for (let step = 0; step < MAX_ALIASES; step++) {
    const parsed = parseName(current);
    // A name from outside may be an alias for a path, but no path itself.
    if (!allowPaths && step === 0 && (parsed.kind === "path" || parsed.kind === "https")) {
      throw invalid(name, "paths and URLs are not accepted here");
    }
    const target = parsed.kind === "plain" ? await findAlias(current) : undefined;
    if (target === undefined || target === current) return { name: current, parsed };
    current = target;
  }
  throw new InlayError("ERR_NAME_INVALID", `The aliases of ${name} lead through more than ${MAX_ALIASES} names.`);
}

async function locate(name: string, parsed: ParsedName, options: ResolveOptions): Promise<ResolvedModel> {
  const denied: InlayError[] = [];
  switch (parsed.kind) {
    case "builtin":
      return findBuiltin(name);
    case "path":
      return findPath(name, parsed.path);
    case "https":
      return (
        (await findHttps(name, parsed.sha256)) ?? missing(name, `Fetch it with: inlay pull ${JSON.stringify(name)}.`)
      );
    case "huggingface": {
      const cached = await findHuggingFace(name, parsed.reference);
      const own = cached ?? (parsed.ollama === undefined ? undefined : await findOllama(parsed.ollama, denied));
      return own ?? missing(name, `It is in no Hugging Face cache. Fetch it with: inlay pull ${name}.`, denied);
    }
    case "plain":
      return (await locatePlain(name, options, denied)) ?? missing(name, advice(name), denied);
  }
}

async function locatePlain(
  name: string,
  { allowPaths = true }: ResolveOptions,
  denied: InlayError[],
): Promise<ResolvedModel | undefined> {
  const stored = await findOllama(name, denied);
  if (stored !== undefined) return stored;
  const reference = catalogueReference(name);
  const cached = reference && (await findHuggingFace(name, reference));
  if (cached !== undefined) return cached;
  return allowPaths && (await isRegularFile(absolute(name))) ? findPath(name, absolute(name)) : undefined;
}

function advice(name: string): string {
  return catalogueReference(name) === undefined
    ? `It is in no Ollama store, is no alias and is not in the catalogue (inlay list --catalogue). Fetch it with: ollama pull ${name}, or by its repository with: inlay pull hf:owner/repo.`
    : `The catalogue knows it. Fetch it with: inlay pull ${name}.`;
}

function missing(name: string, why: string, denied: readonly InlayError[] = []): never {
  if (denied[0] !== undefined) throw denied[0];
  throw new InlayError(
    "ERR_MODEL_NOT_FOUND",
    `There is no model ${JSON.stringify(name)} on this machine. ${why} inlay doctor shows where models are looked for.`,
  );
}
