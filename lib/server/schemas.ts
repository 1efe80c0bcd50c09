// What each route takes and gives. decode() checks requests against these; GET /openapi.json publishes them.
import { OPTION_KINDS, type OptionKind } from "./model-options.ts";
import { flag, integer, list, object, optional, type RequestSchema, type Schema, text } from "./schema.ts";

const MODEL = text("Name of the model");
const DURATION: Schema = {
  oneOf: [{ type: "string" }, { type: "number" }],
  description:
    'How long the model stays loaded after the request: "5m", "1.5h", seconds, 0 (not at all), negative (for ever)',
};
const OPTION_SCHEMAS: Readonly<Record<OptionKind, Schema>> = {
  integer: { type: ["number", "null"] },
  float32: { type: ["number", "null"] },
  boolean: { type: ["boolean", "null"] },
  strings: { oneOf: [{ type: "string" }, { type: "array", items: { type: "string" } }, { type: "null" }] },
};
const OPTION_DESCRIPTIONS: Readonly<Record<string, string>> = {
  num_ctx: "Tokens per text at most, specials included",
  num_thread: "Threads; 0: as many as make sense",
  num_gpu: "Layers on the GPU; 0: run on the CPU",
};
const OPTIONS: Schema = {
  type: "object",
  description: "Ollama's options. num_ctx, num_thread and num_gpu act; any other is accepted and ignored",
  properties: Object.fromEntries(
    Object.entries(OPTION_KINDS).map(([name, kind]) => [
      name,
      { ...OPTION_SCHEMAS[kind], description: OPTION_DESCRIPTIONS[name] ?? "Ignored" },
    ]),
  ),
  additionalProperties: true,
};
const TEXTS: Schema = {
  oneOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
  description: "Text or texts",
};
const VECTOR: Schema = { type: "array", items: { type: "number" }, description: "A vector of norm 1" };
/** An integer that a number of JavaScript holds exactly. */
const count = (description: string): Schema => ({
  ...integer(description),
  minimum: -Number.MAX_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
});
const NANOSECONDS = (what: string): Schema => integer(`${what}, in nanoseconds`);

export const embedRequest: RequestSchema = {
  title: "EmbedRequest",
  type: "object",
  required: ["model"],
  properties: {
    model: MODEL,
    input: optional({ ...TEXTS, description: "Text or texts; none: the model is loaded, no more" }),
    truncate: optional({ ...flag("Cut texts that exceed the context; false: an error instead"), default: true }),
    dimensions: optional(count("Keep this many dimensions and normalise again")),
    keep_alive: optional(DURATION),
    options: optional(OPTIONS),
  },
  additionalProperties: true,
};

export const embedResponse: Schema = {
  type: "object",
  required: ["model", "embeddings"],
  properties: {
    model: text("The model's name as asked"),
    embeddings: list(VECTOR, "One vector per text, in order"),
    total_duration: NANOSECONDS("From the request's arrival to the answer"),
    load_duration: NANOSECONDS("Of it, until the model was there"),
    prompt_eval_count: integer("Tokens that were embedded, specials included, after cutting"),
    truncated: list(integer("Index from 0"), "Texts that were cut; absent when none was"),
  },
  additionalProperties: false,
};

export const embeddingsRequest: RequestSchema = {
  title: "EmbeddingRequest",
  type: "object",
  required: ["model"],
  properties: {
    model: optional(MODEL),
    prompt: optional(text("The text")),
    keep_alive: optional(DURATION),
    options: optional(OPTIONS),
  },
  additionalProperties: true,
};

export const embeddingsResponse: Schema = {
  type: "object",
  required: ["embedding"],
  properties: { embedding: VECTOR },
  additionalProperties: false,
};

export const openAiRequest: RequestSchema = {
  title: "EmbedRequest",
  type: "object",
  required: ["model", "input"],
  properties: {
    model: optional(MODEL),
    input: {
      oneOf: [
        { type: "string" },
        { type: "array", items: { type: "string" }, minItems: 1 },
        { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 },
        { type: "array", items: { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 }, minItems: 1 },
      ],
      description: "Text, texts, token ids, or lists of token ids",
    },
    encoding_format: optional({
      ...text("base64: little-endian float32"),
      pattern: "^([Ff][Ll][Oo][Aa][Tt]|[Bb][Aa][Ss][Ee]64|)$",
      default: "float",
    }),
    dimensions: optional(count("Keep this many dimensions and normalise again")),
    user: { description: "Ignored" },
  },
  additionalProperties: true,
};

export const openAiResponse: Schema = {
  type: "object",
  required: ["object", "data", "model", "usage"],
  properties: {
    object: { const: "list" },
    data: list(
      {
        type: "object",
        required: ["object", "embedding", "index"],
        properties: {
          object: { const: "embedding" },
          embedding: { oneOf: [VECTOR, text("base64 of little-endian float32")] },
          index: integer("Of the input, from 0"),
        },
        additionalProperties: false,
      },
      "One vector per input, in order",
    ),
    model: text("The model's name as asked"),
    usage: {
      type: "object",
      required: ["prompt_tokens", "total_tokens"],
      properties: { prompt_tokens: integer("Tokens embedded"), total_tokens: integer("The same") },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
};

export const tokenizeRequest: RequestSchema = {
  title: "TokenizeRequest",
  type: "object",
  required: ["model", "input"],
  properties: {
    model: optional(MODEL),
    input: optional(TEXTS),
    add_special: optional({ ...flag("Put the model's special tokens around each text"), default: true }),
    keep_alive: optional(DURATION),
  },
  additionalProperties: true,
};

export const tokenizeResponse: Schema = {
  type: "object",
  required: ["model", "tokens", "counts", "context_length"],
  properties: {
    model: text("The model's name as asked"),
    tokens: list(list(integer("Token id"), "Of one text"), "One list per text, before any cutting"),
    counts: list(integer("Tokens"), "Length of each list"),
    context_length: integer("Tokens per text that the model takes, specials included"),
  },
  additionalProperties: false,
};

export const similarityRequest: RequestSchema = {
  title: "SimilarityRequest",
  type: "object",
  required: ["model", "source", "input"],
  properties: {
    model: optional(MODEL),
    source: optional(text("The text that the others are compared with")),
    input: optional(TEXTS),
    truncate: optional({ ...flag("Cut texts that exceed the context; false: an error instead"), default: true }),
    dimensions: optional(count("Compare in this many dimensions")),
    keep_alive: optional(DURATION),
    options: optional(OPTIONS),
  },
  additionalProperties: true,
};

export const similarityResponse: Schema = {
  type: "object",
  required: ["model", "similarities", "total_duration", "load_duration", "prompt_eval_count"],
  properties: {
    model: text("The model's name as asked"),
    similarities: list(
      { type: "number", minimum: -1.000001, maximum: 1.000001 },
      "Cosine of each text with the source",
    ),
    total_duration: NANOSECONDS("From the request's arrival to the answer"),
    load_duration: NANOSECONDS("Of it, until the model was there"),
    prompt_eval_count: integer("Tokens that were embedded, the source's included"),
    truncated: list(integer("Index from 0; -1: the source"), "Texts that were cut; absent when none was"),
  },
  additionalProperties: false,
};

export const generateRequest: RequestSchema = {
  title: "GenerateRequest",
  type: "object",
  required: ["model"],
  properties: {
    model: optional(MODEL),
    prompt: optional(text("Must be absent: embedding models generate nothing")),
    keep_alive: optional(DURATION),
  },
  additionalProperties: true,
};

export const chatRequest: RequestSchema = {
  title: "ChatRequest",
  type: "object",
  required: ["model"],
  properties: {
    model: optional(MODEL),
    messages: { description: "Must be absent or empty: embedding models do not chat" },
    keep_alive: optional(DURATION),
  },
  additionalProperties: true,
};

const unloaded = { done: { const: true }, done_reason: { const: "unload" } };

export const generateResponse: Schema = {
  type: "object",
  required: ["model", "created_at", "response", "done", "done_reason"],
  properties: {
    model: text("The model's name as asked"),
    created_at: { type: "string", format: "date-time" },
    response: { const: "" },
    ...unloaded,
  },
  additionalProperties: false,
};

export const chatResponse: Schema = {
  type: "object",
  required: ["model", "created_at", "message", "done", "done_reason"],
  properties: {
    model: text("The model's name as asked"),
    created_at: { type: "string", format: "date-time" },
    message: { type: "object", properties: { role: { const: "assistant" }, content: { const: "" } } },
    ...unloaded,
  },
  additionalProperties: false,
};

export const nameRequest: RequestSchema = {
  title: "ShowRequest",
  type: "object",
  properties: {
    model: optional(MODEL),
    name: optional(text("The same, as older clients call it")),
    verbose: optional(flag("Ignored")),
  },
  additionalProperties: true,
};

export const pullRequest: RequestSchema = {
  title: "PullRequest",
  type: "object",
  properties: {
    model: optional(MODEL),
    name: optional(text("The same, as older clients call it")),
    stream: optional({ ...flag("One line of JSON per step; false: one answer at the end"), default: true }),
    insecure: optional(flag("Ignored: downloads are always checked")),
  },
  additionalProperties: true,
};

export const pullResponse: Schema = {
  type: "object",
  properties: {
    status: text("success, or the step"),
    digest: text("sha256:…"),
    total: integer("Bytes"),
    completed: integer("Bytes"),
    error: text("What went wrong once the answer had begun"),
  },
  additionalProperties: false,
};

const details: Schema = {
  type: "object",
  required: ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"],
  properties: {
    parent_model: { const: "" },
    format: text("gguf"),
    family: text("Architecture"),
    families: { type: ["array", "null"], items: { type: "string" } },
    parameter_size: text("Such as 23M; empty if unknown"),
    quantization_level: text("Such as F16; empty if unknown"),
    context_length: integer("Tokens per text"),
    embedding_length: integer("Dimensions"),
  },
  additionalProperties: false,
};

const listed = {
  name: text("Name with its tag"),
  model: text("The same"),
  size: integer("Bytes"),
  digest: text("Lower-case hex of the file's SHA-256; empty if unknown"),
  details,
};

export const tagsResponse: Schema = {
  type: "object",
  required: ["models"],
  properties: {
    models: list(
      {
        type: "object",
        required: ["name", "model", "modified_at", "size", "digest", "details", "capabilities"],
        properties: {
          ...listed,
          modified_at: { type: "string", format: "date-time" },
          capabilities: list({ type: "string" }, "embedding"),
        },
        additionalProperties: false,
      },
      "Models on this machine, newest first",
    ),
  },
  additionalProperties: false,
};

export const psResponse: Schema = {
  type: "object",
  required: ["models"],
  properties: {
    models: list(
      {
        type: "object",
        required: ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"],
        properties: {
          ...listed,
          expires_at: { type: "string", format: "date-time" },
          size_vram: integer("Bytes of it on the GPU"),
          context_length: integer("Tokens per text"),
        },
        additionalProperties: false,
      },
      "Models in memory, latest expiry first",
    ),
  },
  additionalProperties: false,
};

export const showResponse: Schema = {
  type: "object",
  required: ["details", "model_info", "capabilities", "modified_at"],
  properties: {
    modelfile: text("FROM and PARAMETER lines"),
    parameters: text("One option per line"),
    details,
    model_info: object("Facts from the file's header"),
    capabilities: list({ type: "string" }, "embedding"),
    modified_at: { type: "string", format: "date-time" },
  },
  additionalProperties: false,
};

export const statsResponse: Schema = {
  type: "object",
  required: ["requests", "threads", "queue", "totals", "tokens_per_second", "memory", "models"],
  properties: {
    requests: integer("Being received or answered"),
    threads: integer("That may run passes"),
    queue: object("The runtime's queue as it is, and its bounds"),
    totals: object("Counters since the process began"),
    tokens_per_second: { type: "number", description: "Over the last few seconds of work" },
    memory: object("Bytes held, and the budget"),
    models: integer("In memory"),
  },
  additionalProperties: false,
};

export const versionResponse: Schema = {
  type: "object",
  required: ["version"],
  properties: { version: text("Of Ollama's API that this server speaks") },
  additionalProperties: true,
};

const openAiModel: Schema = {
  type: "object",
  required: ["id", "object", "created", "owned_by"],
  properties: {
    id: text("Name"),
    object: { const: "model" },
    created: integer("Seconds since 1970"),
    owned_by: text("library, or the namespace"),
  },
  additionalProperties: false,
};

export const openAiModelResponse = openAiModel;

export const openAiModelsResponse: Schema = {
  type: "object",
  required: ["object", "data"],
  properties: { object: { const: "list" }, data: list(openAiModel, "Models on this machine") },
  additionalProperties: false,
};

export const healthResponse: Schema = {
  type: "object",
  required: ["status"],
  properties: { status: text("ok, starting or draining") },
  additionalProperties: false,
};

export const errorResponse: Schema = {
  type: "object",
  required: ["error"],
  properties: { error: text("What went wrong") },
  additionalProperties: false,
};

export const openAiErrorResponse: Schema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: text("What went wrong"),
        type: text("invalid_request_error, not_found_error, authentication_error or api_error"),
        param: { type: ["string", "null"] },
        code: { type: ["string", "null"] },
      },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
};
