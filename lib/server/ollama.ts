import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Answer, sendVectors } from "./answer.ts";
import { bodyOf } from "./body.ts";
import { DurationError, parseKeepAlive } from "./duration.ts";
import { type Context, embedAll, type ModelRequest, textsOf, withModel } from "./embedding.ts";
import { HttpError, publicError } from "./errors.ts";
import { goJson } from "./json.ts";
import { decode, type RequestSchema } from "./schema.ts";
import { chatRequest, embeddingsRequest, embedRequest, generateRequest } from "./schemas.ts";

const JSON_TYPE = "application/json; charset=utf-8";

/** Ollama's routes that embed, and those that unload a model. */
export function registerOllama(app: FastifyInstance, context: Context): void {
  app.post("/api/embed", (request, reply) => embed(context, request, reply));
  app.post("/api/embeddings", (request, reply) => embeddings(context, request, reply));
  app.post("/api/generate", (request, reply) => {
    const fields = fieldsOf(generateRequest, request);
    return unload(context, reply, fields, "generate", !fields.prompt, { response: "" });
  });
  app.post("/api/chat", (request, reply) => {
    const fields = fieldsOf(chatRequest, request);
    const empty = !Array.isArray(fields.messages) || fields.messages.length === 0;
    return unload(context, reply, fields, "chat", empty, { message: { role: "assistant", content: "" } });
  });
}

/** Decodes a request's body; a keep_alive that cannot be read goes before any other fault, as in Go. */
export function fieldsOf(schema: RequestSchema, request: FastifyRequest): Record<string, unknown> {
  const body = bodyOf(request);
  checkKeepAlive(body.value);
  return decode(schema, body);
}

/** The fields that say which model is meant and how it is to be loaded. */
export function modelRequest(fields: Record<string, unknown>): ModelRequest {
  return { model: (fields.model as string | undefined) ?? "", keepAlive: fields.keep_alive, options: fields.options };
}

async function embed(context: Context, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const fields = fieldsOf(embedRequest, request);
  const { work } = request;
  const asked = modelRequest(fields);
  checkName(asked.model);
  const texts = textsOf(fields.input, context.limits);
  const job = withModel(context, work, asked, async (model, loadDuration): Promise<Answer | undefined> => {
    if (texts.length === 0 || fields.input === "") return undefined;
    const embedded = await embedAll(context, work, model, texts, {
      truncate: fields.truncate as boolean | undefined,
      dimensions: fields.dimensions as number | undefined,
    });
    const cut = embedded.truncated.length > 0 ? `,"truncated":${JSON.stringify(embedded.truncated)}` : "";
    const times = `"total_duration":${embedded.totalDuration},"load_duration":${loadDuration}`;
    return {
      embedded: { ...embedded, loadDuration },
      layout: {
        head: `{"model":${goJson(asked.model)},"embeddings":[`,
        before: "[",
        between: () => "],[",
        after: "]",
        tail: `],${times},"prompt_eval_count":${embedded.tokens}${cut}}`,
        encoding: "float",
      },
    };
  });
  if (texts.length === 0 || fields.input === "") {
    await job;
    return reply.type(JSON_TYPE).send(`{"model":${goJson(asked.model)},"embeddings":[]}`);
  }
  return sendVectors(reply, work, context.limits, JSON_TYPE, job as Promise<Answer>);
}

/** The older route. Its vectors are of norm 1 like all others; its compute errors are 500. */
async function embeddings(context: Context, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const fields = fieldsOf(embeddingsRequest, request);
  const { work } = request;
  const asked = modelRequest(fields);
  if (asked.model === "") throw new HttpError(400, "model is required");
  const prompt = (fields.prompt as string | undefined) ?? "";
  textsOf(prompt, context.limits);
  const job = withModel(context, work, asked, async (model, loadDuration): Promise<Answer | undefined> => {
    if (prompt === "") return undefined;
    const embedded = await embedAll(context, work, model, [prompt], { truncate: false }).catch(asServerError);
    return {
      embedded: { ...embedded, loadDuration },
      layout: { head: '{"embedding":[', before: "", between: () => "", after: "]", tail: "}", encoding: "float" },
    };
  });
  if (prompt === "") {
    await job;
    return reply.type(JSON_TYPE).send('{"embedding":[]}');
  }
  return sendVectors(reply, work, context.limits, JSON_TYPE, job as Promise<Answer>);
}

/** A prompt-less request with keep_alive 0 is how clients unload a model; anything else is not for embedding models. */
async function unload(
  context: Context,
  reply: FastifyReply,
  fields: Record<string, unknown>,
  verb: "generate" | "chat",
  empty: boolean,
  content: Record<string, unknown>,
): Promise<FastifyReply> {
  const { model, keepAlive } = modelRequest(fields);
  checkName(model);
  const { target } = await context.models.locate(model);
  if (!empty || parseKeepAlive(keepAlive) !== 0) throw new HttpError(400, `"${model}" does not support ${verb}`);
  await context.models.unload(target);
  const answer = { model, created_at: new Date().toISOString(), ...content, done: true, done_reason: "unload" };
  return reply.type(JSON_TYPE).send(goJson(answer));
}

function asServerError(error: unknown): never {
  const known = publicError(error);
  throw known.status === 400 ? new HttpError(500, known.message) : error;
}

function checkName(model: string): void {
  if (model.trim() === "") throw new HttpError(404, `model '${model}' not found`);
}

function checkKeepAlive(value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return;
  for (const key of Object.keys(value)) {
    if (key.toLowerCase() !== "keep_alive") continue;
    try {
      parseKeepAlive((value as Record<string, unknown>)[key]);
    } catch (error) {
      if (error instanceof DurationError) throw new HttpError(400, error.message);
      throw error;
    }
  }
}
