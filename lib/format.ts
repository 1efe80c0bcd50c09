import { native } from "./native.ts";

/**
 * Writes float32 values as JSON numbers separated by commas, off the JavaScript thread: the shortest decimals that
 * read back as the same float32. The values must be finite.
 */
export function formatFloats(values: Float32Array): Promise<Uint8Array> {
  return native().formatFloats(values);
}
