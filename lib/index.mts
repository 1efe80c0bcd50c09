// One implementation serves both module systems, so that a process that uses both shares its models.
export type * from "./index.js";
export { BUILTIN_MODEL, embed, formatFloats, InlayError, loadModel, models, runtime, unload, version } from "./index.js";
