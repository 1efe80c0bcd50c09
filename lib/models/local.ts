import { stat } from "node:fs/promises";
import { readHeader } from "./header.ts";
import { quantizationOf } from "./quantization.ts";
import type { LocalModel, ModelSource } from "./types.ts";
import { lastUseOf } from "./usage.ts";

/** Describes a model file for a list. A file that cannot be read is listed with its problem. */
export async function localModel(
  name: string,
  source: ModelSource,
  path: string,
  sha256?: string,
): Promise<LocalModel> {
  const model: LocalModel = { name, source, path, bytes: 0, modified: new Date(0), sha256 };
  try {
    const stats = await stat(path);
    model.bytes = stats.size;
    model.modified = stats.mtime;
    const header = await readHeader(path);
    if (header === undefined) model.problem = "not a readable GGUF file";
    Object.assign(model, header);
    model.quantization ??= quantizationOf(path);
    model.lastUsed = await lastUseOf(path);
  } catch (error) {
    model.problem = (error as Error).message;
  }
  return model;
}
