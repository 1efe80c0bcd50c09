import type { FastifyReply, FastifyRequest } from "fastify";
import { busy, HttpError } from "./errors.ts";
import type { Limits } from "./options.ts";

/** What the server holds for its clients, counted in requests and bytes. */
export class Admission {
  requests = 0;
  bytes = 0;
  readonly #limits: Limits;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Takes one request in; throws 503 when there are too many. */
  enter(): void {
    if (this.requests >= this.#limits.queueRequests) throw busy();
    this.requests++;
  }

  /** Counts bytes of a request's body; throws 503 when all requests together hold too many. */
  take(work: Work, bytes: number): void {
    if (this.bytes + bytes > this.#limits.queueBytes) throw busy();
    this.hold(work, bytes);
  }

  /** Counts bytes that are there already: vectors on their way out. */
  hold(work: Work, bytes: number): void {
    this.bytes += bytes;
    work.bytes += bytes;
  }

  leave(work: Work): void {
    this.requests--;
    this.bytes -= work.bytes;
    work.bytes = 0;
  }
}

/** One request from its headers to the end of its answer. */
export class Work {
  /** Milliseconds, on the monotonic clock. */
  readonly started = performance.now();
  readonly #abort = new AbortController();
  #deadline: NodeJS.Timeout | undefined;
  bytes = 0;
  texts = 0;
  tokens = 0;
  /** Milliseconds from the request's arrival until its texts were handed to the model. */
  waited: number | undefined;
  model: string | undefined;

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  setDeadline(milliseconds: number): void {
    this.#deadline = setTimeout(() => {
      this.abort(new HttpError(503, "the request took too long", { "retry-after": "1" }));
    }, milliseconds);
    this.#deadline.unref();
  }

  end(): void {
    clearTimeout(this.#deadline);
  }

  /** Nanoseconds since the request arrived, as a whole number. */
  elapsed(): number {
    return Math.max(1, Math.round((performance.now() - this.started) * 1e6));
  }
}

declare module "fastify" {
  interface FastifyRequest {
    work: Work;
  }
}

/**
 * Admits a request that asks for work, and ends its work when the answer is out or the client has gone. Questions about
 * the server itself (GET) are answered however full the queue is.
 */
export function beginWork(request: FastifyRequest, reply: FastifyReply, admission: Admission, limits: Limits): void {
  const work = new Work();
  request.work = work;
  if (request.method !== "POST") return;
  admission.enter();
  work.setDeadline(limits.deadline);
  reply.raw.once("close", () => {
    work.end();
    admission.leave(work);
    if (!reply.raw.writableFinished) work.abort(new HttpError(499, "request canceled"));
  });
}
