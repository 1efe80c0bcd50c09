import { basename, dirname } from "node:path";
import type { BenchModel } from "../models.ts";
import type { Embedder, Peer } from "./peer.ts";

async function load(model: BenchModel, dtype: "fp32" | "q8", threads: number): Promise<Embedder> {
  const { env, pipeline } = await import("@huggingface/transformers");
  env.allowRemoteModels = false;
  env.localModelPath = dirname(model.folder!);
  const extract = await pipeline("feature-extraction", basename(model.folder!), {
    dtype,
    session_options: { intraOpNumThreads: threads },
  });
  const pooling = model.spec.pooling as "mean" | "cls";
  return {
    async embed(texts) {
      const vectors = await extract(
        texts.map(({ text }) => text),
        { pooling, normalize: true },
      );
      return vectors.tolist();
    },
  };
}

const isBert = (model: BenchModel) => model.folder !== undefined;

export const transformersPeers: Peer[] = [
  {
    name: "transformers.js",
    package: "@huggingface/transformers",
    note: "feature-extraction pipeline, fp32, all texts of a call in one padded batch",
    serves: isBert,
    load: (model, threads) => load(model, "fp32", threads),
  },
  {
    name: "transformers.js-q8",
    package: "@huggingface/transformers",
    note: "the same, dtype q8",
    serves: isBert,
    load: (model, threads) => load(model, "q8", threads),
  },
];
