import type { Socket } from "node:net";
import fastify, { type FastifyError, type FastifyInstance, type FastifyRequest, LogController } from "fastify";
import { registerBody } from "./body.ts";
import { Catalogue, registerCatalogue } from "./catalogue.ts";
import type { Context } from "./embedding.ts";
import { HttpError, publicError } from "./errors.ts";
import { registerExtras } from "./extras.ts";
import { Guard } from "./hardening.ts";
import { Metrics } from "./metrics.ts";
import { ServedModels } from "./models.ts";
import { registerOllama } from "./ollama.ts";
import { registerOpenAi } from "./openai.ts";
import { registerOpenApi } from "./openapi.ts";
import { registerOperations, type State } from "./operations.ts";
import { DEFAULT_LIMITS, type Limits, type ServerOptions } from "./options.ts";
import { registerOtherRoutes, sendError } from "./other-routes.ts";
import { registerPages } from "./pages.ts";
import { registerPull } from "./pull.ts";
import { Admission, beginWork } from "./work.ts";

/** Puts the routes and what guards them together. */
export function buildApp(options: ServerOptions, state: () => State): { app: FastifyInstance; served: ServedModels } {
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const app = newInstance(options, limits);
  const admission = new Admission(limits);
  const metrics = new Metrics(admission);
  const guard = new Guard(options);
  const served = new ServedModels(options);
  const context: Context = { models: served, admission, limits };
  const catalogue = new Catalogue(served, options);

  app.decorateRequest("work");
  app.addHook("onRequest", (request, reply, done) => {
    try {
      reply.header("x-content-type-options", "nosniff");
      reply.header("x-request-id", request.id);
      if (guard.check(request, reply)) return;
      beginWork(request, reply, admission, limits);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  app.addHook("onSend", (request, reply, payload, done) => {
    // A body that was not read to its end would be taken for the next request's head, or drained for as long as it comes.
    if (!request.raw.complete && hasBody(request)) reply.header("connection", "close");
    done(null, payload);
  });
  app.addHook("onResponse", (request, reply, done) => {
    report(request, reply.statusCode, metrics);
    done();
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = frameworkError(error) ?? publicError(error, request.work?.model);
    if (known.status >= 500 && known.status !== 503) request.log.error({ err: error }, "request failed");
    return sendError(request, reply, known);
  });

  registerBody(app, admission, limits);
  registerOllama(app, context);
  registerOpenAi(app, context, catalogue);
  registerExtras(app, context);
  registerCatalogue(app, served, catalogue);
  registerPull(app, served, options);
  registerOperations(app, metrics, admission, state);
  registerOpenApi(app, options);
  registerPages(app);
  registerOtherRoutes(app);
  return { app, served };
}

function newInstance(options: ServerOptions, limits: Limits): FastifyInstance {
  let requests = 0;
  const app = fastify({
    ...(options.logger ? { loggerInstance: options.logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    maxRequestsPerSocket: limits.requestsPerSocket,
    genReqId: () => (++requests).toString(36),
    // Proxies may send the whole address; the guard has compared its host by then.
    rewriteUrl: (request) => (request.url ?? "/").replace(/^https?:\/\/[^/?#]*/i, "") || "/",
    http: { headersTimeout: limits.headersTimeout, connectionsCheckingInterval: 1000 },
    clientErrorHandler: refuse,
  }) as unknown as FastifyInstance;
  app.server.maxConnections = limits.maxConnections;
  // Connections that only wait make room for those that have something to ask.
  app.server.on("drop", () => app.server.closeIdleConnections());
  return app;
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** Answers what is no HTTP, or comes too slowly, and closes. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? "408 Request Timeout"
      : error.code === "HPE_HEADER_OVERFLOW"
        ? "431 Request Header Fields Too Large"
        : "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  // Not by halves: who never reads would otherwise keep the socket.
  socket.destroySoon();
}

/** Fastify's own refusals, in words that say what to do. */
function frameworkError(error: FastifyError): HttpError | undefined {
  if (typeof error.code !== "string" || !error.code.startsWith("FST_")) return undefined;
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return new HttpError(415, "send the request body as content-type: application/json", { connection: "close" });
  }
  const status = error.statusCode ?? 500;
  return status >= 500 ? undefined : new HttpError(status, "bad request");
}

function report(request: FastifyRequest, status: number, metrics: Metrics): void {
  const { work } = request;
  const route = request.routeOptions.url ?? "unknown";
  const milliseconds = work ? performance.now() - work.started : 0;
  metrics.record(request.method, route, status, milliseconds / 1000);
  if (work?.tokens) metrics.recordWork(route, work.texts, work.tokens);
  request.log.info(
    {
      method: request.method,
      route,
      status,
      ms: Number(milliseconds.toFixed(3)),
      ...(work?.model !== undefined && { model: work.model.slice(0, 200) }),
      ...(work?.tokens && { texts: work.texts, tokens: work.tokens }),
    },
    "answered",
  );
}
