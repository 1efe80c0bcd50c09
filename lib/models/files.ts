import { constants, type Stats } from "node:fs";
import { open, rename, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { InlayError } from "../errors.ts";

/** Tries at a file that a virus scanner holds (Windows), and the pause between them in ms. */
const BUSY_TRIES = 5;
const BUSY_PAUSE = 100;

/**
 * Says where a model file really is, and that it is a regular file this process may read. Never waits on a fifo and
 * never reads a device.
 *
 * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_ACCESS, ERR_NAME_INVALID
 */
export async function checkFile(path: string, name: string): Promise<{ path: string; stats: Stats }> {
  const unpacked = await outsideArchive(path, name);
  const stats = await patiently(() => stat(unpacked), unpacked, name);
  if (!stats.isFile()) {
    throw new InlayError("ERR_MODEL_ACCESS", `${unpacked} is ${kindOf(stats)}, not a file. Give the path of a GGUF.`);
  }
  await patiently(() => tryOpening(unpacked), unpacked, name);
  return { path: unpacked, stats };
}

/** Whether a regular file is there; anything in the way of an answer counts as no. */
export async function isRegularFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** A rename that waits for a virus scanner to let go (Windows). */
export async function renamePatiently(from: string, to: string): Promise<void> {
  await patiently(() => rename(from, to), to, to, ["EBUSY", "EACCES", "EPERM"]);
}

/** The coded error for a failed file operation; the system's own error is its `cause`. */
export function fileError(cause: unknown, path: string, name: string = path): InlayError {
  const asked = name === path ? "" : ` (for ${JSON.stringify(name)})`;
  const { code, message } = cause as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new InlayError("ERR_MODEL_NOT_FOUND", `There is no file at ${path}${asked}.`, { cause });
    case "EACCES":
    case "EPERM":
      return new InlayError("ERR_MODEL_ACCESS", `This process may not read ${path}${asked}. Check its permissions.`, {
        cause,
      });
    case "EBUSY":
      return new InlayError("ERR_MODEL_ACCESS", `Another program keeps ${path}${asked} locked. Try again.`, { cause });
    case "ELOOP":
      return new InlayError("ERR_MODEL_ACCESS", `The symbolic links at ${path}${asked} lead round in a circle.`, {
        cause,
      });
    case "ENAMETOOLONG":
      return new InlayError("ERR_NAME_INVALID", `The path is longer than the system allows: ${path.slice(0, 80)}…`, {
        cause,
      });
    case "ENOSPC":
    case "EDQUOT":
      return new InlayError("ERR_DISK_FULL", `The disk is full at ${path}. Free some space and try again.`, { cause });
    case "EFBIG":
      return new InlayError("ERR_DISK_FULL", `The file system at ${path} takes no file of this size.`, { cause });
    default:
      return new InlayError("ERR_MODEL_ACCESS", `${path}${asked} cannot be read: ${message}.`, { cause });
  }
}

/** Paths into an Electron archive lead to the unpacked copy beside it: native code cannot read inside one. */
async function outsideArchive(path: string, name: string): Promise<string> {
  const archive = /^(.*?\.asar)([\\/].*)$/i.exec(path);
  if (archive === null) return path;
  const [, file = "", inside = ""] = archive;
  const unpacked = `${file}.unpacked${inside}`;
  if (await isRegularFile(unpacked)) return unpacked;
  if (process.versions.electron === undefined && !(await isRegularFile(file))) return path;
  throw new InlayError(
    "ERR_MODEL_ACCESS",
    `${name} lies inside the archive ${file}, where native code cannot read it. Unpack it: add the model's folder to asarUnpack in the packager's settings.`,
  );
}

async function tryOpening(path: string): Promise<void> {
  // A fifo put there since would block without O_NONBLOCK, which Windows has no need of.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  await file.close();
}

async function patiently<T>(
  operation: () => Promise<T>,
  path: string,
  name: string,
  passing: readonly string[] = ["EBUSY"],
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      const passes = passing.includes((error as NodeJS.ErrnoException).code ?? "");
      if (!passes || attempt === BUSY_TRIES) {
        throw fileError(error, path, name);
      }
      await sleep(BUSY_PAUSE);
    }
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a pipe";
  if (stats.isSocket()) return "a socket";
  return "a device";
}
