import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { InlayError } from "../errors.ts";
import { checkStatus, failed, passing, persist } from "./attempts.ts";
import { cacheFolder } from "./environment.ts";
import { fileError } from "./files.ts";
import { type Answer, type HttpClient, plain } from "./http.ts";
import { PartialFile, sweepPartialFiles } from "./partial.ts";
import type { PullProgress } from "./types.ts";

export interface Download {
  client: HttpClient;
  url: string;
  /** Bytes; from {@link sizeOf} where the source does not say. */
  size: number;
  /** Lower-case hex. Nothing else ever gets to the destination. */
  sha256: string;
  destination: string;
  /** What the file is called in messages. */
  name: string;
  signal?: AbortSignal;
  onProgress?(progress: PullProgress): void;
}

const CONNECTIONS = 4;
/** Bytes that one request asks for. */
const PIECE = 16 << 20;
/** Bytes to leave free on the disk. */
const MARGIN = 16 << 20;

/**
 * Fetches a file in parallel ranges, continuing what an earlier attempt left, and moves it into place once its hash
 * is right.
 *
 * @throws ERR_DOWNLOAD, ERR_DISK_FULL, ERR_OFFLINE, ERR_MODEL_ACCESS, ERR_MODEL_NOT_FOUND, or the signal's reason
 */
export async function download(job: Download): Promise<void> {
  let partial: PartialFile;
  try {
    partial = await PartialFile.open(job.sha256, job.size);
  } catch (error) {
    throw unwritable(cacheFolder(), error);
  }
  try {
    await checkSpace(job, partial);
    await fetchAndCheck(job, partial);
    await partial.moveTo(job.destination);
  } catch (error) {
    const useless = error instanceof InlayError && ["ERR_DISK_FULL", "ERR_MODEL_CORRUPT"].includes(error.code);
    await (useless ? partial.remove() : partial.keep());
    throw error;
  }
  await sweepPartialFiles(job.sha256);
}

/** The size of what a URL gives, in bytes. */
export async function sizeOf(client: HttpClient, url: string, signal?: AbortSignal): Promise<number> {
  return persist({ name: plain(url), signal }, async () => {
    const answer = await client.get(url, { range: [0, 0], signal });
    answer.discard();
    checkStatus(answer, plain(url));
    const total = /\/(\d+)$/.exec(answer.header("content-range") ?? "")?.[1];
    const size = Number((answer.status === 206 ? total : answer.header("content-length")) ?? Number.NaN);
    if (!Number.isSafeInteger(size)) throw failed(plain(url), "the server does not say how large the file is");
    return size;
  });
}

/** The server sends whole files only. */
class NoRanges extends Error {}

async function fetchAndCheck(job: Download, partial: PartialFile): Promise<void> {
  const resumed = partial.completed > 0;
  await fetchMissing(job, partial);
  if (await isRight(job, partial)) return;
  // What an earlier attempt left may have been damaged since: one fresh start tells that from a bad source.
  if (resumed) {
    await partial.restart();
    await fetchMissing(job, partial);
    if (await isRight(job, partial)) return;
  }
  throw new InlayError(
    "ERR_MODEL_CORRUPT",
    `What ${plain(job.url)} sends for ${job.name} has not the SHA-256 it should have, ${job.sha256}. It was discarded.`,
  );
}

async function isRight(job: Download, partial: PartialFile): Promise<boolean> {
  const { name: file, size: total } = job;
  const report = (completed: number) => job.onProgress?.({ file, phase: "verify", completed, total });
  return (await partial.sha256(job.signal, report)) === job.sha256;
}

async function fetchMissing(job: Download, partial: PartialFile): Promise<void> {
  try {
    await fetchPieces(job, partial, partial.missing().flatMap(split));
  } catch (error) {
    if (!(error instanceof NoRanges)) throw error;
    await partial.restart();
    await fetchPieces(job, partial, partial.missing());
  }
}

async function fetchPieces(job: Download, partial: PartialFile, pieces: [number, number][]): Promise<void> {
  const failure = new AbortController();
  const signal = job.signal === undefined ? failure.signal : AbortSignal.any([job.signal, failure.signal]);
  report(job, partial);
  const work = async () => {
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
      await fetchPiece({ ...job, signal }, partial, piece);
    }
  };
  const workers = Array.from({ length: Math.min(CONNECTIONS, pieces.length) }, () =>
    work().catch((error) => failure.abort(error)),
  );
  await Promise.all(workers);
  job.signal?.throwIfAborted();
  if (failure.signal.aborted) throw failure.signal.reason;
}

async function fetchPiece(job: Download, partial: PartialFile, [from, to]: [number, number]): Promise<void> {
  let position = from;
  let reached = from;
  const attempt = async () => {
    const { url, name, signal } = job;
    const answer = await job.client.get(url, { range: [position, to - 1], signal });
    try {
      checkStatus(answer, name);
      position = startOf(answer, job, position, to);
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        if (position + chunk.length > to) throw failed(name, "more bytes came than the file should have");
        await partial.write(chunk, position);
        position += chunk.length;
        report(job, partial);
      }
    } finally {
      answer.discard();
    }
    if (position < to) throw passing(name, `the connection ended ${to - position} bytes early`);
  };
  const progressed = () => {
    const further = position > reached;
    reached = Math.max(reached, position);
    return further;
  };
  await persist(job, attempt, progressed);
}

/** The position in the file that an answer's first byte has. */
function startOf(answer: Answer, { name, size }: Download, from: number, to: number): number {
  if (answer.status === 200) {
    const length = answer.header("content-length");
    if (length !== undefined && Number(length) !== size) {
      throw failed(name, `the file has ${length} bytes where it should have ${size}`);
    }
    if (to !== size) throw new NoRanges();
    return 0;
  }
  const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.header("content-range") ?? "") ?? [];
  if (total !== undefined && total !== "*" && Number(total) !== size) {
    throw failed(name, `the file has ${total} bytes where it should have ${size}`);
  }
  if (Number(start) !== from || Number(end) >= to)
    throw failed(name, "the server sent another range than was asked for");
  return from;
}

function split([from, to]: [number, number]): [number, number][] {
  const pieces: [number, number][] = [];
  for (let start = from; start < to; start += PIECE) pieces.push([start, Math.min(start + PIECE, to)]);
  return pieces;
}

function report({ name, size, onProgress }: Download, partial: PartialFile): void {
  onProgress?.({ file: name, phase: "download", completed: partial.completed, total: size });
}

/** Refuses at once what cannot fit, rather than after an hour. */
async function checkSpace(job: Download, partial: PartialFile): Promise<void> {
  const { blocks, bavail, bsize } = await statfs(dirname(partial.path));
  const needed = job.size - partial.completed;
  const free = bavail * bsize;
  // Some network file systems count no blocks at all.
  if (blocks === 0 || needed + MARGIN <= free) return;
  throw new InlayError(
    "ERR_DISK_FULL",
    `${job.name} needs ${needed} more bytes, and ${dirname(partial.path)} has ${free} free. Free some space, or set INLAY_CACHE to a larger disk.`,
  );
}

function unwritable(folder: string, cause: unknown): InlayError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return fileError(cause, folder);
  return new InlayError(
    "ERR_MODEL_ACCESS",
    `The cache folder ${folder} cannot be written to (${message}). Set INLAY_CACHE to a folder that can.`,
    { cause },
  );
}
