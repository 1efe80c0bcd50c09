import { join } from "node:path";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { BenchModel } from "../models.ts";
import { type BenchText, type Embedder, type Peer, unit } from "./peer.ts";

interface Settings {
  threads: number;
  /** Texts per run; a call with more is cut. */
  batch: number;
}

const PROBE_MS = 400;
/** onnxruntime's own choice. */
const DEFAULT_THREADS = 0;

class OnnxEmbedder implements Embedder {
  #settings: Settings;

  private constructor(
    readonly ort: typeof import("onnxruntime-node"),
    readonly path: string,
    readonly pooling: string,
    private session: InferenceSession,
    threads: number,
  ) {
    this.#settings = { threads, batch: 4 };
  }

  static async load(model: BenchModel, file: string, threads: number): Promise<OnnxEmbedder> {
    const ort = await import("onnxruntime-node");
    const path = join(model.folder!, "onnx", file);
    const session = await ort.InferenceSession.create(path, options(threads));
    return new OnnxEmbedder(ort, path, model.spec.pooling!, session, threads);
  }

  async embed(texts: readonly BenchText[]): Promise<Float32Array[]> {
    const vectors: Float32Array[] = [];
    for (let start = 0; start < texts.length; start += this.#settings.batch) {
      vectors.push(...(await this.#run(texts.slice(start, start + this.#settings.batch))));
    }
    return vectors;
  }

  describe(): string {
    const { threads, batch } = this.#settings;
    return `${threads === DEFAULT_THREADS ? "default" : threads} threads, at most ${batch} texts per run`;
  }

  async tune(texts: readonly BenchText[]): Promise<string> {
    const { threads } = this.#settings;
    let best = { rate: 0, settings: this.#settings };
    const attempt = async (settings: Settings) => {
      this.#settings = settings;
      const rate = await this.#rate(texts);
      if (rate > best.rate) best = { rate, settings };
    };
    for (const batch of [1, 4, 16]) await attempt({ threads, batch });
    await this.#reopen(DEFAULT_THREADS);
    await attempt({ threads: DEFAULT_THREADS, batch: best.settings.batch });
    if (best.settings.threads !== DEFAULT_THREADS) await this.#reopen(threads);
    this.#settings = best.settings;
    return this.describe();
  }

  async #reopen(threads: number): Promise<void> {
    await this.session.release();
    this.session = await this.ort.InferenceSession.create(this.path, options(threads));
  }

  async #rate(texts: readonly BenchText[]): Promise<number> {
    const some = texts.slice(0, this.#settings.batch);
    await this.#run(some);
    const start = performance.now();
    let runs = 0;
    do {
      await this.#run(some);
      runs++;
    } while (performance.now() - start < PROBE_MS);
    return (runs * some.length) / (performance.now() - start);
  }

  async #run(texts: readonly BenchText[]): Promise<Float32Array[]> {
    const width = Math.max(...texts.map(({ tokens }) => tokens));
    const shape = [texts.length, width];
    const ids = new BigInt64Array(texts.length * width);
    const mask = new BigInt64Array(ids.length);
    texts.forEach((text, row) => {
      text.ids!.forEach((id, column) => {
        ids[row * width + column] = BigInt(id);
        mask[row * width + column] = 1n;
      });
    });
    const tensor = (values: BigInt64Array): Tensor => new this.ort.Tensor("int64", values, shape);
    const results = await this.session.run({
      input_ids: tensor(ids),
      attention_mask: tensor(mask),
      token_type_ids: tensor(new BigInt64Array(ids.length)),
    });
    const { data, dims } = results.last_hidden_state!;
    return texts.map(({ tokens }, row) => pool(data as Float32Array, row * width, tokens, dims[2]!, this.pooling));
  }
}

const options = (threads: number): InferenceSession.SessionOptions => ({
  graphOptimizationLevel: "all",
  ...(threads !== DEFAULT_THREADS && { intraOpNumThreads: threads, interOpNumThreads: 1 }),
});

function pool(hidden: Float32Array, firstRow: number, tokens: number, dim: number, pooling: string): Float32Array {
  if (pooling === "cls") return unit(hidden.slice(firstRow * dim, (firstRow + 1) * dim));
  const sum = new Float32Array(dim);
  for (let row = firstRow; row < firstRow + tokens; row++) {
    for (let i = 0; i < dim; i++) sum[i]! += hidden[row * dim + i]!;
  }
  return unit(sum);
}

const isBert = (model: BenchModel) => model.folder !== undefined;

export const onnxPeers: Peer[] = [
  {
    name: "onnxruntime-fp32",
    package: "onnxruntime-node",
    note: "token ids given, mean pooling in JavaScript, best of its thread and batch settings",
    serves: isBert,
    load: (model, threads) => OnnxEmbedder.load(model, "model.onnx", threads),
  },
  {
    name: "onnxruntime-int8",
    package: "onnxruntime-node",
    note: "the same, weights quantised dynamically",
    serves: isBert,
    load: (model, threads) => OnnxEmbedder.load(model, "model_quantized.onnx", threads),
  },
];
