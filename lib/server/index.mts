export type { InlayServer, Limits, Place, ServerOptions } from "./index.ts";
export { createServer, fetch } from "./index.ts";
