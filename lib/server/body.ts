import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HttpError } from "./errors.ts";
import { BodyError, type ParsedBody, parseBody } from "./json.ts";
import type { Limits } from "./options.ts";
import type { Admission } from "./work.ts";

/** Reads bodies: JSON only, counted byte by byte as they come. A handler finds a {@link ParsedBody} in `request.body`. */
export function registerBody(app: FastifyInstance, admission: Admission, limits: Limits): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(/^application\/json\b/i, (request, payload, done) => {
    readBody(request, payload as IncomingMessage, admission, limits)
      .then(parseBody)
      .then(
        (body) => done(null, body),
        (error: Error) => done(error instanceof BodyError ? new HttpError(400, error.message) : error),
      );
  });
}

/** The body of a request to a route that needs one. */
export function bodyOf(request: FastifyRequest): ParsedBody {
  const body = request.body as ParsedBody | null | undefined;
  if (body === null || body === undefined) throw new HttpError(400, "missing request body");
  return body;
}

function readBody(
  request: FastifyRequest,
  payload: IncomingMessage,
  admission: Admission,
  limits: Limits,
): Promise<Buffer> {
  const tooLarge = () => {
    return new HttpError(413, `the request body is larger than ${limits.bodyBytes} bytes`, { connection: "close" });
  };
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > limits.bodyBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const stop = (error: Error) => {
      payload.off("data", onData);
      payload.pause();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limits.bodyBytes) return stop(tooLarge());
      try {
        admission.take(request.work, chunk.length);
      } catch (error) {
        return stop(error as Error);
      }
      chunks.push(chunk);
    };
    payload.on("data", onData);
    payload.once("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
    payload.once("error", reject);
    payload.once("close", () => {
      if (!payload.complete) reject(new HttpError(499, "request canceled"));
    });
  });
}
