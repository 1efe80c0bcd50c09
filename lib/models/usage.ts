import { createHash } from "node:crypto";
import { mkdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "./environment.ts";

/** A file's last use is written at most this often, in ms. */
const GRAIN = 60_000;
const written = new Map<string, number>();

/** Notes that a model was used. A cache that cannot be written to is no failure. */
export async function recordUse(path: string, source: string): Promise<void> {
  const now = Date.now();
  if (now - (written.get(path) ?? Number.NEGATIVE_INFINITY) < GRAIN) return;
  written.set(path, now);
  const note = noteOf(path);
  try {
    await utimes(note, now / 1000, now / 1000);
  } catch {
    try {
      await mkdir(join(note, ".."), { recursive: true });
      await writeFile(note, `${JSON.stringify({ path, source })}\n`);
    } catch {
      // Read-only or full: the list then shows no last use.
    }
  }
}

/** When {@link recordUse} last noted this path. */
export async function lastUseOf(path: string): Promise<Date | undefined> {
  try {
    return (await stat(noteOf(path))).mtime;
  } catch {
    return undefined;
  }
}

/** One small file per model, whose time of change is the last use: two processes never lose each other's note. */
function noteOf(path: string): string {
  return join(cacheFolder(), "last-used", `${createHash("sha256").update(path).digest("hex").slice(0, 32)}.json`);
}
