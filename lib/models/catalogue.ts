import { CATALOGUE, type CatalogueEntry } from "./catalogue-data.ts";
import type { HubReference } from "./names.ts";
import { quantizationOf } from "./quantization.ts";

/** The catalogue's entry for a name such as `bge-m3`, `bge-m3:q8_0` or `qwen3-embedding:0.6b-q8_0`. */
export function findInCatalogue(name: string): { entry: CatalogueEntry; quantization?: string } | undefined {
  const wanted = name.toLowerCase().replace(/:latest$/, "");
  const exact = entryNamed(wanted);
  if (exact !== undefined) return { entry: exact };
  const [, base = "", tag = ""] = /^([^:]+):([^:]+)$/.exec(wanted) ?? [];
  const [, size, spelled = ""] = /^(?:(.+)-)?([^-]+)$/.exec(tag) ?? [];
  const quantization = quantizationOf(spelled);
  if (quantization === undefined) return undefined;
  const entry = entryNamed(size === undefined ? base : `${base}:${size}`);
  return entry && { entry, quantization };
}

/** Where the hub keeps the model that the catalogue knows by this name. */
export function catalogueReference(name: string): HubReference | undefined {
  const found = findInCatalogue(name);
  if (found === undefined) return undefined;
  const { entry, quantization } = found;
  return { repo: entry.repository, ...(quantization !== undefined && { quantization }) };
}

function entryNamed(name: string): CatalogueEntry | undefined {
  return CATALOGUE.find((entry) => entry.name === name || entry.otherNames?.includes(name));
}
