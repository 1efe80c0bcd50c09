export { findInCatalogue } from "./catalogue.ts";
export { CATALOGUE as catalogue, type CatalogueEntry } from "./catalogue-data.ts";
export { listModels, searchedPlaces } from "./list.ts";
export { resolveModel } from "./resolve.ts";
export type { LocalModel, ModelSource, ResolvedModel, ResolveOptions, SearchedPlace } from "./types.ts";
