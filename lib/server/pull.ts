import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { pullModel } from "../models/index.ts";
import { requiredName } from "./catalogue.ts";
import { HttpError, publicError } from "./errors.ts";
import { goJson } from "./json.ts";
import type { ServedModels } from "./models.ts";
import { fieldsOf } from "./ollama.ts";
import type { ServerOptions } from "./options.ts";
import { pullRequest } from "./schemas.ts";
import type { Work } from "./work.ts";

const JSON_TYPE = "application/json; charset=utf-8";
const LINES_TYPE = "application/x-ndjson";

interface Step {
  status?: string;
  total?: number;
  completed?: number;
  error?: string;
}

/**
 * `POST /api/pull`: clients list, pull and embed without asking, so a model that is here already is a success. Others
 * are downloaded only where the server was told so.
 */
export function registerPull(app: FastifyInstance, served: ServedModels, options: ServerOptions): void {
  app.post("/api/pull", async (request, reply) => {
    const fields = fieldsOf(pullRequest, request);
    const name = requiredName(fields);
    const streamed = fields.stream !== false;
    const present = await served.locate(name, request.work.signal).then(
      () => true,
      (error) => {
        if (error instanceof HttpError && error.status === 400) throw error;
        return false;
      },
    );
    if (!present && (!options.pull || options.onlyModels)) {
      throw new HttpError(501, "this server does not download models; on its machine run: inlay pull <name>");
    }
    const steps: Iterable<Step> | AsyncIterable<Step> = present ? [{ status: "success" }] : pull(name, request.work);
    if (streamed) return reply.type(LINES_TYPE).send(Readable.from(lines(steps, name), { objectMode: false }));
    for await (const step of steps) if (step.error !== undefined) throw new HttpError(500, step.error);
    return reply.type(JSON_TYPE).send('{"status":"success"}');
  });
}

async function* lines(steps: Iterable<Step> | AsyncIterable<Step>, name: string): AsyncGenerator<string> {
  try {
    for await (const step of steps) yield `${goJson(step)}\n`;
  } catch (error) {
    yield `${goJson({ error: publicError(error, name).message })}\n`;
  }
}

/** The steps of a download; each progress that comes while the client is slow replaces the one before. */
async function* pull(name: string, work: Work): AsyncGenerator<Step> {
  yield { status: "pulling manifest" };
  let latest: Step | undefined;
  let wake = () => {};
  let finished = false;
  const done = pullModel(name, {
    signal: work.signal,
    onProgress: ({ completed, total }: { completed: number; total?: number }) => {
      latest = { status: `pulling ${name}`, total, completed };
      wake();
    },
  }).finally(() => {
    finished = true;
    wake();
  });
  done.catch(() => undefined);
  while (!finished) {
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (finished || latest !== undefined) resolve();
    });
    if (latest !== undefined) {
      const step: Step = latest;
      latest = undefined;
      yield step;
    }
  }
  await done;
  yield { status: "verifying sha256 digest" };
  yield { status: "writing manifest" };
  yield { status: "success" };
}
