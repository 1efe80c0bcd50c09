import type { FastifyInstance } from "fastify";
import { version } from "../index.ts";
import { docsPage } from "./docs-page.ts";
import type { ServerOptions } from "./options.ts";
import type { Schema } from "./schema.ts";
import * as schemas from "./schemas.ts";

interface Operation {
  method: "get" | "post";
  path: string;
  tag: "Ollama" | "OpenAI" | "inlay" | "Operations";
  summary: string;
  request?: Schema;
  response: Schema | "text";
  /** Media type of the response, where it is not JSON. */
  type?: string;
  errors: readonly number[];
}

const CALLER_ERRORS = [400, 404, 413, 415, 422, 503];

/** Every route that answers with something worth describing. */
export const OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: "/api/embed",
    tag: "Ollama",
    summary: "Embed one text or many",
    request: schemas.embedRequest,
    response: schemas.embedResponse,
    errors: [...CALLER_ERRORS, 500, 507],
  },
  {
    method: "post",
    path: "/api/embeddings",
    tag: "Ollama",
    summary: "Embed one text (the older route)",
    request: schemas.embeddingsRequest,
    response: schemas.embeddingsResponse,
    errors: [...CALLER_ERRORS, 500, 507],
  },
  {
    method: "post",
    path: "/api/generate",
    tag: "Ollama",
    summary: "Unload a model: no prompt, keep_alive 0",
    request: schemas.generateRequest,
    response: schemas.generateResponse,
    errors: CALLER_ERRORS,
  },
  {
    method: "post",
    path: "/api/chat",
    tag: "Ollama",
    summary: "Unload a model: no messages, keep_alive 0",
    request: schemas.chatRequest,
    response: schemas.chatResponse,
    errors: CALLER_ERRORS,
  },
  {
    method: "get",
    path: "/api/tags",
    tag: "Ollama",
    summary: "List the models on this machine",
    response: schemas.tagsResponse,
    errors: [],
  },
  {
    method: "get",
    path: "/api/ps",
    tag: "Ollama",
    summary: "List the models in memory",
    response: schemas.psResponse,
    errors: [],
  },
  {
    method: "post",
    path: "/api/show",
    tag: "Ollama",
    summary: "Describe a model",
    request: schemas.nameRequest,
    response: schemas.showResponse,
    errors: CALLER_ERRORS,
  },
  {
    method: "post",
    path: "/api/pull",
    tag: "Ollama",
    summary: "Download a model, where the server allows it; success for one that is here",
    request: schemas.pullRequest,
    response: schemas.pullResponse,
    errors: [...CALLER_ERRORS, 500, 501],
  },
  {
    method: "get",
    path: "/api/version",
    tag: "Ollama",
    summary: "The level of Ollama's API, and this server's version",
    response: schemas.versionResponse,
    errors: [],
  },
  {
    method: "post",
    path: "/v1/embeddings",
    tag: "OpenAI",
    summary: "Embed texts or token ids",
    request: schemas.openAiRequest,
    response: schemas.openAiResponse,
    errors: [...CALLER_ERRORS, 500, 507],
  },
  {
    method: "get",
    path: "/v1/models",
    tag: "OpenAI",
    summary: "List the models on this machine",
    response: schemas.openAiModelsResponse,
    errors: [],
  },
  {
    method: "get",
    path: "/v1/models/{model}",
    tag: "OpenAI",
    summary: "Describe a model",
    response: schemas.openAiModelResponse,
    errors: [400, 404],
  },
  {
    method: "post",
    path: "/api/tokenize",
    tag: "inlay",
    summary: "Token ids and counts of texts, to size chunks by",
    request: schemas.tokenizeRequest,
    response: schemas.tokenizeResponse,
    errors: [...CALLER_ERRORS, 500, 507],
  },
  {
    method: "post",
    path: "/api/similarity",
    tag: "inlay",
    summary: "Compare a text with others, without sending vectors",
    request: schemas.similarityRequest,
    response: schemas.similarityResponse,
    errors: [...CALLER_ERRORS, 500, 507],
  },
  {
    method: "get",
    path: "/api/stats",
    tag: "inlay",
    summary: "The queue as it is, and counters",
    response: schemas.statsResponse,
    errors: [],
  },
  {
    method: "get",
    path: "/healthz",
    tag: "Operations",
    summary: "Whether the process answers",
    response: schemas.healthResponse,
    errors: [],
  },
  {
    method: "get",
    path: "/readyz",
    tag: "Operations",
    summary: "Whether it takes work: 503 while starting and while draining",
    response: schemas.healthResponse,
    errors: [],
  },
  {
    method: "get",
    path: "/metrics",
    tag: "Operations",
    summary: "Metrics for Prometheus",
    response: "text",
    type: "text/plain; version=0.0.4; charset=utf-8",
    errors: [],
  },
  {
    method: "get",
    path: "/",
    tag: "Operations",
    summary: '"Ollama is running"; the page for people where a browser asks',
    response: "text",
    type: "text/plain; charset=utf-8",
    errors: [],
  },
];

/** The document that `GET /openapi.json` gives. */
export function openApiDocument(options: ServerOptions): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of OPERATIONS) {
    paths[operation.path] ??= {};
    paths[operation.path]![operation.method] = describe(operation, options.apiKey !== undefined);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "inlay",
      version,
      description: "Embeddings over HTTP, in the words of Ollama's and of OpenAI's API.",
      license: { name: "MIT", identifier: "MIT" },
    },
    ...(options.apiKey !== undefined && { security: [{ key: [] }] }),
    paths,
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  };
}

function describe(operation: Operation, keyed: boolean): Record<string, unknown> {
  const { path, tag, summary, request, response, type } = operation;
  const error = path.startsWith("/v1/") ? schemas.openAiErrorResponse : schemas.errorResponse;
  const json = (schema: Schema) => ({ content: { "application/json": { schema } } });
  const answers: Record<string, unknown> = {
    200: {
      description: "Success",
      ...(response === "text" ? { content: { [type!]: { schema: { type: "string" } } } } : json(response)),
    },
  };
  if (path === "/api/pull") {
    answers[200] = {
      description: "Success, or one line per step",
      content: {
        "application/json": { schema: response },
        "application/x-ndjson": { schema: { type: "string" } },
      },
    };
  }
  if (path === "/readyz") answers[503] = { description: "Not ready", ...json(schemas.healthResponse) };
  const refusals = [...operation.errors, ...(keyed ? [401] : [])].sort();
  for (const status of refusals) answers[status] = { description: DESCRIPTIONS[status], ...json(error) };
  answers[403] = { description: "The Host or Origin header is not allowed" };
  return {
    tags: [tag],
    summary,
    operationId: `${operation.method}${path.replace(/[^A-Za-z0-9]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    ...(path.includes("{model}") && {
      parameters: [{ name: "model", in: "path", required: true, schema: { type: "string" } }],
    }),
    ...(request && { requestBody: { required: true, ...json(request) } }),
    responses: answers,
  };
}

const DESCRIPTIONS: Readonly<Record<number, string>> = {
  400: "The request is malformed, or a text does not fit the context",
  401: "A valid API key is needed",
  404: "There is no such model",
  413: "The request has too many bytes, texts or characters",
  415: "The body is not JSON, or is compressed",
  422: "The model's file is damaged or of a kind that is not supported",
  500: "An option has the wrong type, or something failed in the server",
  501: "Not offered by this server",
  503: "The queue is full, or the time is up; Retry-After says when to come again",
  507: "The model needs more memory, or more disk, than there is",
};

export function registerOpenApi(app: FastifyInstance, options: ServerOptions): void {
  const document = openApiDocument(options);
  const json = JSON.stringify(document);
  app.get("/openapi.json", (_request, reply) => reply.type("application/json; charset=utf-8").send(json));
  const page = docsPage(OPERATIONS);
  app.get("/docs", (_request, reply) => {
    return reply
      .header(
        "content-security-policy",
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
      )
      .type("text/html; charset=utf-8")
      .send(page);
  });
}

export type { Operation };
