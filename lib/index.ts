export { embed } from "./embed.ts";
export { type ErrorCode, type ErrorDetails, InlayError } from "./errors.ts";
export { fetch } from "./fetch.ts";
export { formatFloats } from "./format.ts";
export { loadModel } from "./model.ts";
export {
  type CatalogueEntry,
  catalogue,
  listModels,
  pullModel,
  removeModel,
  resolveModel,
  verifyModel,
} from "./models/index.ts";
export type * from "./models/types.ts";
export { version } from "./package.ts";
export { models, runtime, unload } from "./runtime.ts";
export type * from "./types.ts";

/** The name of the model that ships with the package: lexical, for a first run and for tests; see docs/builtin-model.md. */
export const BUILTIN_MODEL = "builtin";
