import { join } from "node:path";
import type { Peer } from "./peer.ts";

export const fastembedPeers: Peer[] = [
  {
    name: "fastembed-js",
    package: "fastembed",
    note: "custom model, fp32, its own settings: every text padded to 512 tokens, the first token's vector",
    serves: (model) => model.folder !== undefined,
    async load(model) {
      const { EmbeddingModel, FlagEmbedding } = await import("fastembed");
      const embedder = await FlagEmbedding.init({
        model: EmbeddingModel.CUSTOM,
        modelAbsoluteDirPath: model.folder!,
        modelName: join("onnx", "model.onnx"),
      });
      return {
        async embed(texts) {
          const vectors: ArrayLike<number>[] = [];
          for await (const batch of embedder.embed(texts.map(({ text }) => text))) vectors.push(...batch);
          return vectors;
        },
      };
    },
  },
];
