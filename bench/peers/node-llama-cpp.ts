import type { BenchModel } from "../models.ts";
import { type Embedder, type Peer, unit } from "./peer.ts";

async function load(model: BenchModel, threads: number | undefined): Promise<Embedder> {
  const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");
  const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error, progressLogs: false });
  const loaded = await llama.loadModel({ modelPath: model.q8 });
  // It refuses texts that fill the context, and cuts those above the batch size in two, which is wrong for encoders.
  const size = Math.min(loaded.trainContextSize, 1024) + 8;
  const context = await loaded.createEmbeddingContext({
    contextSize: size,
    batchSize: size,
    ...(threads !== undefined && { threads }),
  });
  return {
    async embed(texts) {
      // Its own advice for many texts; it works them off one after the other.
      const results = await Promise.all(texts.map(({ text }) => context.getEmbeddingFor(text)));
      return results.map(({ vector }) => unit(Float32Array.from(vector)));
    },
  };
}

export const nodeLlamaPeers: Peer[] = [
  {
    name: "node-llama-cpp",
    package: "node-llama-cpp",
    note: "Q8_0 file, the same number of threads",
    serves: () => true,
    load: (model, threads) => load(model, threads),
  },
  {
    name: "node-llama-cpp-default",
    package: "node-llama-cpp",
    note: "Q8_0 file, its default threads",
    serves: () => true,
    load: (model) => load(model, undefined),
  },
];
