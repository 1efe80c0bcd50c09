import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { EmbeddingModel } from "../types.ts";
import { type Answer, sendVectors } from "./answer.ts";
import { bodyOf } from "./body.ts";
import type { Catalogue } from "./catalogue.ts";
import { type Context, checkCount, embedAll, textsOf, withModel } from "./embedding.ts";
import { HttpError } from "./errors.ts";
import { goJson } from "./json.ts";
import { modelRequest } from "./ollama.ts";
import type { Limits } from "./options.ts";
import { decode } from "./schema.ts";
import { openAiRequest } from "./schemas.ts";

const JSON_TYPE = "application/json";

/** OpenAI's routes. */
export function registerOpenAi(app: FastifyInstance, context: Context, catalogue: Catalogue): void {
  app.post("/v1/embeddings", (request, reply) => embeddings(context, request, reply));
  app.get("/v1/models", async (_request, reply) => {
    const data = (await catalogue.list()).map(catalogue.openAiModel);
    return reply.type(JSON_TYPE).send(goJson({ object: "list", data }));
  });
  app.get<{ Params: { "*": string } }>("/v1/models/*", async (request, reply) => {
    const model = await catalogue.find(request.params["*"]);
    return reply.type(JSON_TYPE).send(goJson(catalogue.openAiModel(model)));
  });
}

async function embeddings(context: Context, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const body = bodyOf(request);
  const fields = decode(openAiRequest, body);
  const encoding = encodingOf((fields.encoding_format as string | undefined) ?? "");
  const input = inputOf(fields.input, context.limits);
  const { work } = request;
  const asked = modelRequest({ model: fields.model });
  const job = withModel(context, work, asked, async (model, loadDuration): Promise<Answer> => {
    checkIds(input, model);
    const embedded = await embedAll(context, work, model, input, {
      dimensions: fields.dimensions as number | undefined,
    });
    const [open, close] = encoding === "base64" ? ['"', '"'] : ["[", "]"];
    const item = `{"object":"embedding","embedding":${open}`;
    const usage = `{"prompt_tokens":${embedded.tokens},"total_tokens":${embedded.tokens}}`;
    return {
      embedded: { ...embedded, loadDuration },
      layout: {
        head: '{"object":"list","data":[',
        before: item,
        between: (index) => `${close},"index":${index - 1}},${item}`,
        after: `${close},"index":${embedded.embeddings.length - 1}}`,
        tail: `],"model":${goJson(asked.model)},"usage":${usage}}`,
        encoding,
      },
    };
  });
  return sendVectors(reply, work, context.limits, JSON_TYPE, job);
}

function encodingOf(format: string): "float" | "base64" {
  const name = format.toLowerCase();
  if (name === "base64") return name;
  if (name === "" || name === "float") return "float";
  throw new HttpError(
    400,
    `Invalid value for 'encoding_format' = ${format.slice(0, 40)}. Supported values: ['float', 'base64'].`,
  );
}

/** One of four shapes: a text, texts, a text's token ids, several texts' token ids. */
function inputOf(input: unknown, limits: Limits): string[] | number[][] {
  if (input === undefined || (Array.isArray(input) && input.length === 0)) throw new HttpError(400, "invalid input");
  if (!Array.isArray(input) || typeof input[0] === "string") return textsOf(input, limits);
  const lists: unknown[] = typeof input[0] === "number" ? [input] : input;
  checkCount(lists.length, limits);
  for (const list of lists) {
    if (!Array.isArray(list) || list.length > limits.inputChars) throw new HttpError(400, "invalid input type");
    if (list.length === 0) throw new HttpError(400, "invalid input");
    if (!list.every((id) => Number.isInteger(id))) throw new HttpError(400, "invalid input type");
  }
  return lists as number[][];
}

function checkIds(input: string[] | number[][], { info }: EmbeddingModel): void {
  if (typeof input[0] === "string") return;
  (input as number[][]).forEach((ids, index) => {
    if (ids.every((id) => id >= 0 && id < info.vocabulary)) return;
    throw new HttpError(
      400,
      `input ${index} holds a token id that the model lacks; it has 0 to ${info.vocabulary - 1}`,
    );
  });
}
