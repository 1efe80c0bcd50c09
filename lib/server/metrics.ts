import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { models, runtime } from "../index.ts";
import type { Admission } from "./work.ts";

/** Seconds: from one short text on a warm model to a bulk request. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What `GET /metrics` shows. The gauges are read when they are asked for; reading wakes and loads nothing. */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests: Counter<"method" | "route" | "status">;
  readonly #texts: Counter<"route">;
  readonly #tokens: Counter<"route">;
  readonly #latency: Histogram<"route">;

  constructor(admission: Admission) {
    const registers = [this.registry];
    this.#requests = new Counter({
      name: "inlay_http_requests_total",
      help: "Requests answered",
      labelNames: ["method", "route", "status"],
      registers,
    });
    this.#texts = new Counter({ name: "inlay_texts_total", help: "Texts embedded", labelNames: ["route"], registers });
    this.#tokens = new Counter({
      name: "inlay_tokens_total",
      help: "Tokens embedded",
      labelNames: ["route"],
      registers,
    });
    this.#latency = new Histogram({
      name: "inlay_http_request_duration_seconds",
      help: "From a request's arrival to the end of its answer",
      labelNames: ["route"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    const gauge = (name: string, help: string, read: () => number) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    gauge(
      "inlay_http_requests_open",
      "Requests for work that are being received or answered",
      () => admission.requests,
    );
    gauge("inlay_http_bytes_held", "Bytes of bodies and vectors held for requests", () => admission.bytes);
    gauge("inlay_queue_jobs", "Jobs in the runtime's queue", () => runtime.stats().queue.jobs);
    gauge("inlay_queue_texts", "Texts in the runtime's queue", () => runtime.stats().queue.texts);
    gauge("inlay_queue_tokens", "Tokens in the runtime's queue", () => runtime.stats().queue.tokens);
    gauge("inlay_queue_bytes", "Bytes in the runtime's queue", () => runtime.stats().queue.bytes);
    gauge("inlay_tokens_per_second", "Over the last few seconds of work", () => runtime.stats().tokensPerSecond);
    gauge("inlay_batch_tokens", "Mean tokens in a micro-batch since the start", batchFill);
    gauge("inlay_workspace_bytes", "Memory for passes", () => runtime.stats().memory.workspaces);
    gauge("process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss());
    this.#registerModels();
  }

  record(method: string, route: string, status: number, seconds: number): void {
    this.#requests.inc({ method, route, status });
    this.#latency.observe({ route }, seconds);
  }

  recordWork(route: string, texts: number, tokens: number): void {
    this.#texts.inc({ route }, texts);
    this.#tokens.inc({ route }, tokens);
  }

  #registerModels(): void {
    new Gauge({
      name: "inlay_model_memory_bytes",
      help: "Memory of each loaded model",
      labelNames: ["architecture", "fingerprint", "kind"],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { info } of models()) {
          const labels = { architecture: info.architecture, fingerprint: info.fingerprint };
          this.set({ ...labels, kind: "weights" }, info.memory.weights);
          this.set({ ...labels, kind: "workspaces" }, info.memory.workspaces);
        }
      },
    });
  }
}

function batchFill(): number {
  const { tokens, microBatches } = runtime.stats().totals;
  return microBatches === 0 ? 0 : tokens / microBatches;
}
