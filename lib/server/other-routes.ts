import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { dialectOf, errorBody, HttpError } from "./errors.ts";
import { pathOf } from "./hardening.ts";

/** Routes of Ollama and OpenAI that have no place in a server for embeddings. */
const ELSEWHERE: readonly [method: "POST" | "DELETE" | "HEAD" | "GET", path: string][] = [
  ["POST", "/api/create"],
  ["POST", "/api/copy"],
  ["POST", "/api/push"],
  ["DELETE", "/api/delete"],
  ["POST", "/api/blobs/*"],
  ["HEAD", "/api/blobs/*"],
  ["POST", "/v1/completions"],
  ["POST", "/v1/chat/completions"],
  ["POST", "/v1/responses"],
  ["POST", "/v1/images/generations"],
  ["POST", "/v1/audio/speech"],
  ["POST", "/v1/audio/transcriptions"],
  ["POST", "/v1/moderations"],
];

/** Says clearly what is not here, in the dialect of who asks. */
export function registerOtherRoutes(app: FastifyInstance): void {
  for (const [method, url] of ELSEWHERE) {
    app.route({
      method,
      url,
      handler: (request, reply) => {
        const message = `${request.method} ${url.replace("/*", "")} is not served here: this server makes embeddings only`;
        return sendError(request, reply, new HttpError(501, message));
      },
    });
  }
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.raw.url ?? "/");
    const known = ["GET", "POST", "DELETE"].some((method) => app.hasRoute({ method, url: path }));
    if (dialectOf(path) === "openai") {
      const error = known
        ? new HttpError(405, `method ${request.method} is not allowed here`)
        : new HttpError(404, "no such route");
      return sendError(request, reply, error);
    }
    return reply
      .code(known ? 405 : 404)
      .type("text/plain")
      .send(known ? "405 method not allowed" : "404 page not found");
  });
}

/** The answer to a failed request. */
export function sendError(request: FastifyRequest, reply: FastifyReply, error: HttpError): FastifyReply {
  const dialect = dialectOf(request.raw.url ?? "/");
  reply.code(error.status).headers(error.headers);
  if (error.message === "") return reply.send();
  return reply
    .type(dialect === "openai" ? "application/json" : "application/json; charset=utf-8")
    .send(errorBody(dialect, error.status, error.message));
}
