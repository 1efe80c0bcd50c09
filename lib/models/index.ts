import type { PullOptions, ResolvedModel } from "./types.ts";

export { findInCatalogue } from "./catalogue.ts";
export { CATALOGUE as catalogue, type CatalogueEntry } from "./catalogue-data.ts";
export { listModels, searchedPlaces } from "./list.ts";
export { removeModel } from "./remove.ts";
export { resolveModel } from "./resolve.ts";
export type {
  LocalModel,
  ModelSource,
  PullOptions,
  PullProgress,
  RemovedModel,
  ResolvedModel,
  ResolveOptions,
  SearchedPlace,
  VerifiedModel,
} from "./types.ts";
export { verifyModel } from "./verify.ts";

/** Fetches a model; see {@link file://./pull.ts}. The HTTP client is loaded by the first call only. */
export async function pullModel(name: string, options?: PullOptions): Promise<ResolvedModel> {
  const pull = await import("./pull.ts");
  return pull.pullModel(name, options);
}
