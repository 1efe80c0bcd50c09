import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InlayError } from "../errors.ts";
import { configFolder } from "./environment.ts";
import type { SearchedPlace } from "./types.ts";

const MAX_BYTES = 1 << 20;

/**
 * What the alias file says for a name: another name, or `undefined`. A relative path in it is relative to the file's
 * own folder.
 */
export async function findAlias(name: string): Promise<string | undefined> {
  const target = (await readAliases()).get(name);
  if (target === undefined) return undefined;
  return /^\.{1,2}[\\/]/.test(target) ? resolve(dirname(aliasFile()), target) : target;
}

/** The alias file's entries. */
export async function readAliases(): Promise<Map<string, string>> {
  const file = aliasFile();
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT" && !process.env.INLAY_ALIASES) return new Map();
    throw new InlayError("ERR_MODEL_ACCESS", `The alias file ${file} cannot be read: ${(cause as Error).message}.`, {
      cause,
    });
  }
  return parseAliases(file, text);
}

export async function aliasPlaces(): Promise<SearchedPlace[]> {
  const path = aliasFile();
  const detail = process.env.INLAY_ALIASES ? "set by INLAY_ALIASES" : undefined;
  try {
    const { size } = await readAliases();
    return [{ source: "alias", path, state: size > 0 ? "found" : "missing", models: size, detail }];
  } catch (error) {
    return [{ source: "alias", path, state: "unreadable", models: 0, detail: (error as Error).message }];
  }
}

function aliasFile(): string {
  return process.env.INLAY_ALIASES || join(configFolder(), "aliases.json");
}

function parseAliases(file: string, text: string): Map<string, string> {
  const fault = (why: string, cause?: unknown) =>
    new InlayError(
      "ERR_NAME_INVALID",
      `The alias file ${file} ${why}. It is one JSON object from names to names, such as {"search": "bge-m3:q8_0"}.`,
      { cause },
    );
  if (text.length > MAX_BYTES) throw fault(`is larger than ${MAX_BYTES} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw fault("is not JSON", cause);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw fault("holds no object");
  for (const [name, target] of Object.entries(parsed)) {
    if (typeof target !== "string" || target === "") throw fault(`gives ${JSON.stringify(name)} no name`);
  }
  return new Map(Object.entries(parsed as Record<string, string>));
}
