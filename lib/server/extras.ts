import type { FastifyInstance } from "fastify";
import { type Context, embedAll, textsOf, withModel } from "./embedding.ts";
import { HttpError } from "./errors.ts";
import { goJson } from "./json.ts";
import { fieldsOf, modelRequest } from "./ollama.ts";
import { similarityRequest, tokenizeRequest } from "./schemas.ts";

const JSON_TYPE = "application/json; charset=utf-8";

/** Routes of this server's own: counting tokens to size chunks, and comparing texts without shipping vectors. */
export function registerExtras(app: FastifyInstance, context: Context): void {
  app.post("/api/tokenize", async (request, reply) => {
    const fields = fieldsOf(tokenizeRequest, request);
    const asked = modelRequest(fields);
    const texts = textsOf(fields.input, context.limits);
    const { work } = request;
    const answer = await withModel(context, work, asked, async (model) => {
      work.texts = texts.length;
      const addSpecial = (fields.add_special as boolean | undefined) ?? true;
      const tokens: number[][] = [];
      for (const text of texts) {
        work.signal.throwIfAborted();
        tokens.push(Array.from(await model.tokenize(text, { addSpecial })));
      }
      const counts = tokens.map(({ length }) => length);
      return { model: asked.model, tokens, counts, context_length: model.info.contextLength };
    });
    return reply.type(JSON_TYPE).send(goJson(answer));
  });

  app.post("/api/similarity", async (request, reply) => {
    const fields = fieldsOf(similarityRequest, request);
    const asked = modelRequest(fields);
    const texts = textsOf(fields.input, context.limits);
    if (typeof fields.source !== "string") throw new HttpError(400, "source is required");
    const source = textsOf(fields.source, context.limits);
    const { work } = request;
    const answer = await withModel(context, work, asked, async (model, loadDuration) => {
      const embedded = await embedAll(context, work, model, [...source, ...texts], {
        truncate: fields.truncate as boolean | undefined,
        dimensions: fields.dimensions as number | undefined,
      });
      const [first, ...others] = embedded.embeddings;
      const truncated = embedded.truncated.map((index) => index - 1);
      return {
        model: asked.model,
        similarities: others.map((vector) => dot(first!, vector)),
        total_duration: embedded.totalDuration,
        load_duration: loadDuration,
        prompt_eval_count: embedded.tokens,
        ...(truncated.length > 0 && { truncated }),
      };
    });
    return reply.type(JSON_TYPE).send(goJson(answer));
  });
}

/** Cosine of vectors of norm 1. */
function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
