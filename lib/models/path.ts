import { checkFile } from "./files.ts";
import type { ResolvedModel } from "./types.ts";

/** A model file that the caller points at. */
export async function findPath(name: string, wanted: string): Promise<ResolvedModel> {
  const { path } = await checkFile(wanted, name);
  return { name, path, source: "path" };
}
