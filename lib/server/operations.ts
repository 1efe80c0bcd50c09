import type { FastifyInstance } from "fastify";
import { models, runtime, version } from "../index.ts";
import type { Metrics } from "./metrics.ts";
import type { Admission } from "./work.ts";

/** The level of Ollama's API that this server speaks; some clients compare it. */
export const OLLAMA_VERSION = "0.30.0";

export type State = "starting" | "ok" | "draining";

/** Health, readiness, metrics and what the page's live figures come from. None of these touches a model. */
export function registerOperations(
  app: FastifyInstance,
  metrics: Metrics,
  admission: Admission,
  state: () => State,
): void {
  app.get("/healthz", (_request, reply) => reply.send({ status: "ok" }));
  app.get("/readyz", (_request, reply) => {
    const status = state();
    return reply.code(status === "ok" ? 200 : 503).send({ status });
  });
  app.get("/metrics", async (_request, reply) => {
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.get("/api/version", (_request, reply) => {
    return reply
      .type("application/json; charset=utf-8")
      .send(JSON.stringify({ version: OLLAMA_VERSION, inlay: version }));
  });
  app.get("/api/stats", (_request, reply) => {
    const { queue, totals, tokensPerSecond, memory, threads } = runtime.stats();
    return reply.send({
      requests: admission.requests,
      threads,
      queue,
      totals,
      tokens_per_second: tokensPerSecond,
      memory,
      models: models().length,
    });
  });
}
