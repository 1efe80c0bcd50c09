/**
 * Answers a request as `inlay serve` would, with no port: for Electron's `protocol.handle` and fetch-style frameworks.
 * The server's code is loaded on the first call.
 */
export async function fetch(request: Request): Promise<Response> {
  const server = await import("./server/index.ts");
  return server.fetch(request);
}
