import { createHash, randomInt } from "node:crypto";
import { readlinkSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { cacheFolder } from "./environment.ts";
import { fileError, renamePatiently } from "./files.ts";
import { Intervals } from "./intervals.ts";

/** How often what has arrived is made safe against a power cut, in ms. */
const CHECKPOINT = 500;
/** A partial file that nobody continued for so long is removed, in ms. */
const ABANDONED = 7 * 24 * 3600_000;
const HOST = createHash("sha256").update(hostname()).update(processNamespace()).digest("hex").slice(0, 8);
/** Of the file: its hash, the host and the process that write to it, and a number of its own. */
const NAME = /^([0-9a-f]{64})\.([0-9a-f]{8})-(\d+)-(\d+)\.partial$/;
/** Of the note of what has arrived: the hash and the file's number. */
const NOTE = /^([0-9a-f]{64})\.(\d+)\.json(?:\.new)?$/;

/**
 * A file on its way, in a folder of its own beside the caches: nothing there is ever taken for a model. Its name
 * says which process writes to it, so that two may fetch the same file and the next one continues what a dead one
 * left. What has arrived is noted under a name that does not change with the process: taking a file over is one
 * rename, and a process that ends at any moment leaves both parts of it.
 */
export class PartialFile {
  readonly path: string;
  readonly size: number;
  readonly #note: string;
  #file: FileHandle;
  #done: Intervals;
  #saved = Date.now();
  #saving: Promise<void> = Promise.resolve();

  private constructor(path: string, note: string, size: number, file: FileHandle, done: Intervals) {
    this.path = path;
    this.#note = note;
    this.size = size;
    this.#file = file;
    this.#done = done;
  }

  /** Takes over what a dead process left of this file, or begins a new one. */
  static async open(sha256: string, size: number): Promise<PartialFile> {
    const folder = partialFolder();
    await mkdir(folder, { recursive: true });
    const adopted = await adopt(folder, sha256, size);
    const number = adopted?.number ?? String(randomInt(2 ** 47));
    const path = join(folder, fileName(sha256, process.pid, number));
    const file = await open(path, adopted === undefined ? "w+" : "r+");
    return new PartialFile(path, join(folder, noteName(sha256, number)), size, file, adopted?.done ?? new Intervals());
  }

  /** Bytes that have arrived. */
  get completed(): number {
    return this.#done.total;
  }

  missing(): [number, number][] {
    return this.#done.missingUpTo(this.size);
  }

  /** @throws ERR_DISK_FULL, ERR_MODEL_ACCESS; so do all the other methods */
  async write(chunk: Uint8Array, position: number): Promise<void> {
    await this.#guard(async () => {
      for (let written = 0; written < chunk.length; ) {
        const { bytesWritten } = await this.#file.write(chunk, written, chunk.length - written, position + written);
        written += bytesWritten;
      }
    });
    this.#done.add(position, position + chunk.length);
    if (Date.now() - this.#saved >= CHECKPOINT) await this.save();
  }

  /** Notes what has arrived, once it is on the disk. */
  save(): Promise<void> {
    this.#saved = Date.now();
    const step = async () => {
      const done = this.#done.toJSON();
      await this.#file.datasync();
      await writeFile(`${this.#note}.new`, JSON.stringify({ size: this.size, done }));
      await rename(`${this.#note}.new`, this.#note);
    };
    this.#saving = this.#saving.then(step, step);
    return this.#guard(() => this.#saving);
  }

  /** Forgets everything that has arrived. */
  async restart(): Promise<void> {
    this.#done = new Intervals();
    await this.#guard(() => this.#file.truncate(0));
    await this.save();
  }

  async sha256(signal?: AbortSignal, onProgress?: (bytes: number) => void): Promise<string> {
    return this.#guard(() => hashOf(this.#file, signal, onProgress));
  }

  /** Moves the finished file to its place, which shows it whole or not at all, even after a power cut. */
  async moveTo(path: string): Promise<void> {
    await this.#guard(async () => {
      await mkdir(dirname(path), { recursive: true });
      await this.#file.sync();
      await this.#file.close();
      await renamePatiently(this.path, path);
      await syncFolder(dirname(path));
      await rm(this.#note, { force: true });
    });
  }

  /** Keeps what has arrived for the next attempt. */
  async keep(): Promise<void> {
    await this.save().catch(() => undefined);
    await this.#file.close().catch(() => undefined);
    // Under this process's number the next attempt of this same process would take it for being written to.
    const ownerless = this.path.replace(/-\d+-(\d+\.partial)$/, "-0-$1");
    await rename(this.path, ownerless).catch(() => undefined);
  }

  async remove(): Promise<void> {
    await this.#saving.catch(() => undefined);
    await this.#file.close().catch(() => undefined);
    await removeAll(this.path, this.#note);
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw (error as NodeJS.ErrnoException).syscall === undefined ? error : fileError(error, this.path);
    }
  }
}

/** SHA-256 of an open file, in lower-case hex. */
export async function hashOf(
  file: FileHandle,
  signal?: AbortSignal,
  onProgress?: (bytes: number) => void,
): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(1 << 20);
  for (let position = 0; ; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
    onProgress?.(position);
  }
}

/** Makes a rename in a folder last through a power cut, where the system lets folders be opened. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  await folder.sync().finally(() => folder.close());
}

/** Removes what dead processes left of a file that is complete now, and whatever nobody continued for a week. */
export async function sweepPartialFiles(sha256: string): Promise<void> {
  const folder = partialFolder();
  const entries = await readdir(folder).catch(() => []);
  const isAbandoned = async (entry: string) => {
    const { mtimeMs } = (await stat(join(folder, entry)).catch(() => undefined)) ?? { mtimeMs: Date.now() };
    return Date.now() - mtimeMs > ABANDONED;
  };
  const kept = new Set<string>();
  for (const entry of entries) {
    const [, hash, host, pid, number] = NAME.exec(entry) ?? [];
    if (number === undefined) continue;
    const finished = hash === sha256 && host === HOST && !isAlive(Number(pid));
    if (finished || (await isAbandoned(entry))) await rm(join(folder, entry), { force: true });
    else kept.add(number);
  }
  for (const entry of entries) {
    const [, hash, number] = NOTE.exec(entry) ?? [];
    if (number === undefined || kept.has(number)) continue;
    // A file that came since the folder was read has a note of its own; only what is old or this hash's goes.
    if (hash === sha256 || (await isAbandoned(entry))) await rm(join(folder, entry), { force: true });
  }
}

export function partialFolder(): string {
  return join(cacheFolder(), "partial");
}

const fileName = (sha256: string, pid: number, number: string) => `${sha256}.${HOST}-${pid}-${number}.partial`;
const noteName = (sha256: string, number: string) => `${sha256}.${number}.json`;

/** Renames a dead process's file to ours; of two processes that try, one succeeds. */
async function adopt(
  folder: string,
  sha256: string,
  size: number,
): Promise<{ number: string; done: Intervals } | undefined> {
  for (const entry of await readdir(folder)) {
    const [, hash, host, pid, number] = NAME.exec(entry) ?? [];
    if (number === undefined || hash !== sha256 || host !== HOST || isAlive(Number(pid))) continue;
    const ours = join(folder, fileName(sha256, process.pid, number));
    try {
      await rename(join(folder, entry), ours);
    } catch {
      continue;
    }
    const note = join(folder, noteName(sha256, number));
    const done = await readState(note, size);
    if (done !== undefined) return { number, done };
    await removeAll(ours, note);
  }
  return undefined;
}

async function removeAll(file: string, note: string): Promise<void> {
  for (const path of [file, note, `${note}.new`]) await rm(path, { force: true });
}

async function readState(path: string, size: number): Promise<Intervals | undefined> {
  try {
    const state = JSON.parse(await readFile(path, "utf8"));
    return state.size === size ? Intervals.from(state.done, size) : undefined;
  } catch {
    return undefined;
  }
}

/** Containers may share a cache and a host name; their process numbers mean different things. */
function processNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

function isAlive(pid: number): boolean {
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
