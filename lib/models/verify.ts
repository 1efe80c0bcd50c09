import { open } from "node:fs/promises";
import { fileError } from "./files.ts";
import { hashOf } from "./partial.ts";
import { resolveModel } from "./resolve.ts";
import type { PullProgress, VerifiedModel } from "./types.ts";

/** Reads a model's file and compares its SHA-256 with the one that its source vouches for. */
export async function verifyModel(
  name: string,
  options: { signal?: AbortSignal; onProgress?(progress: PullProgress): void } = {},
): Promise<VerifiedModel> {
  const { path, sha256: expected } = await resolveModel(name, options);
  let sha256: string;
  try {
    const file = await open(path, "r");
    try {
      const { size: total } = await file.stat();
      sha256 = await hashOf(file, options.signal, (completed) =>
        options.onProgress?.({ file: path, phase: "verify", completed, total }),
      );
    } finally {
      await file.close();
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw fileError(error, path, name);
  }
  const state = expected === undefined ? "unvouched" : expected === sha256 ? "right" : "wrong";
  return { name, path, sha256, expected, state };
}
