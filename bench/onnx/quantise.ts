/** Symmetric int8 with one scale for the whole matrix, as onnxruntime's dynamic quantiser stores weights by default. */
export function quantise(weights: Float32Array): { values: Int8Array; scale: number } {
  let peak = 0;
  for (const weight of weights) peak = Math.max(peak, Math.abs(weight));
  const scale = peak === 0 ? 1 : peak / 127;
  const values = new Int8Array(weights.length);
  for (let i = 0; i < weights.length; i++) values[i] = Math.round(weights[i]! / scale);
  return { values, scale };
}
