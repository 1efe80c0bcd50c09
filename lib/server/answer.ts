import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { formatFloats } from "../index.ts";
import type { Embedded } from "./embedding.ts";
import type { Limits } from "./options.ts";
import type { Work } from "./work.ts";

/** Floats that are formatted and written at a time; about 12 bytes of text each. */
const FLOATS_PER_CHUNK = 32 * 1024;

/** How a dialect writes its answer around the vectors. */
export interface Layout {
  head: string;
  /** What goes before, between and after the vectors' own texts; `between` knows the index of the vector that follows. */
  before: string;
  between(index: number): string;
  after: string;
  tail: string;
  encoding: "float" | "base64";
}

/** A job's outcome: vectors and how to write them. */
export interface Answer {
  embedded: Pick<Embedded, "embeddings" | "fingerprint" | "totalDuration" | "loadDuration">;
  layout: Layout;
}

/**
 * Sends the outcome of `job`. Vectors are turned into text some at a time, as fast as the client reads. A job that
 * takes long gets its headers out early, then white space to keep the connection alive; should it fail after that, the
 * connection is cut, for a status cannot be taken back.
 */
export async function sendVectors(
  reply: FastifyReply,
  work: Work,
  limits: Limits,
  type: string,
  job: Promise<Answer>,
): Promise<FastifyReply> {
  reply.type(type);
  // The race below may no longer listen when the job fails: a client that has gone.
  job.catch(() => undefined);
  const answer = await within(job, limits.earlyHeaders);
  if (answer === undefined) return stream(reply, limits, late(job, limits.earlyHeaders));
  describe(reply, work, answer);
  const { embeddings } = answer.embedded;
  const floats = embeddings.length * (embeddings[0]?.length ?? 0);
  if (floats > FLOATS_PER_CHUNK) return stream(reply, limits, write(answer));
  const chunks: Uint8Array[] = [];
  for await (const chunk of write(answer)) chunks.push(chunk);
  return reply.send(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
}

/** Tells by which model's vectors these are, and where the time went. */
function describe(reply: FastifyReply, work: Work, { embedded }: Answer): void {
  const total = embedded.totalDuration / 1e6;
  const load = embedded.loadDuration / 1e6;
  const waited = work.waited ?? load;
  reply.header("x-inlay-fingerprint", embedded.fingerprint);
  reply.header("x-inlay-queue-ms", waited.toFixed(3));
  reply.header("server-timing", `load;dur=${load.toFixed(3)}, embed;dur=${(total - waited).toFixed(3)}`);
}

function stream(reply: FastifyReply, limits: Limits, chunks: AsyncGenerator<Uint8Array>): FastifyReply {
  reply.raw.setTimeout(limits.writeTimeout + limits.earlyHeaders, () => reply.raw.destroy());
  return reply.send(Readable.from(chunks, { objectMode: false }));
}

/** The job's outcome, or undefined if it takes longer. */
async function within<Outcome>(job: Promise<Outcome>, milliseconds: number): Promise<Outcome | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const pause = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
    timer.unref();
  });
  try {
    return await Promise.race([job, pause]);
  } finally {
    clearTimeout(timer);
  }
}

async function* late(job: Promise<Answer>, interval: number): AsyncGenerator<Uint8Array> {
  const space = Buffer.from(" ");
  let answer: Answer | undefined;
  while (answer === undefined) {
    yield space;
    answer = await within(job, interval);
  }
  yield* write(answer);
}

async function* write({ embedded: { embeddings }, layout }: Answer): AsyncGenerator<Uint8Array> {
  const perChunk = Math.max(1, Math.floor(FLOATS_PER_CHUNK / (embeddings[0]?.length ?? 1)));
  let head = layout.head;
  for (let start = 0; start < embeddings.length; start += perChunk) {
    const rows = embeddings.slice(start, start + perChunk);
    const parts: Uint8Array[] = [];
    const texts = layout.encoding === "base64" ? rows.map(base64) : await Promise.all(rows.map(formatFloats));
    texts.forEach((text, row) => {
      const index = start + row;
      parts.push(Buffer.from(head + (index === 0 ? layout.before : layout.between(index))), text);
      head = "";
    });
    if (start + perChunk >= embeddings.length) parts.push(Buffer.from(layout.after + layout.tail));
    yield Buffer.concat(parts);
  }
  if (embeddings.length === 0) yield Buffer.from(head + layout.tail);
}

/** Little-endian float32, as every platform of this package keeps them. */
function base64(vector: Float32Array): Uint8Array {
  const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
  return Buffer.from(bytes.toString("base64"), "latin1");
}
