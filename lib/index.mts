// One implementation serves both module systems, so that a process that uses both shares its models.
export type * from "./index.js";
export {
  BUILTIN_MODEL,
  catalogue,
  embed,
  fetch,
  formatFloats,
  InlayError,
  listModels,
  loadModel,
  models,
  pullModel,
  removeModel,
  resolveModel,
  runtime,
  unload,
  verifyModel,
  version,
} from "./index.js";
