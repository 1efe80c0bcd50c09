import { createRequire } from "node:module";
import { join } from "node:path";
import type { LoadOptions } from "../../lib/types.ts";
import type { BenchModel } from "../models.ts";
import type { Embedder, Peer } from "./peer.ts";

export const ROOT = join(__dirname, "..", "..", "..");

/** The built package, through its own package.json, as a user loads it. */
const inlay = () => createRequire(join(ROOT, "package.json"))(ROOT) as typeof import("../../lib/index.ts");

function load(path: (model: BenchModel) => string, options: LoadOptions): Peer["load"] {
  return async (model, threads): Promise<Embedder> => {
    const loaded = await inlay().loadModel(path(model), { threads, ...options });
    const { engine, precision, isa, tokenizer } = loaded.info;
    return {
      async embed(texts, priority) {
        return (
          await loaded.embed(
            texts.map(({ text }) => text),
            { priority },
          )
        ).embeddings;
      },
      describe: () => `${engine}, ${precision}, ${isa}, ${tokenizer} tokenizer`,
    };
  };
}

const f16 = (model: BenchModel) => model.f16;
const q8 = (model: BenchModel) => model.q8;
const everything = () => true;

export const inlayPeers: Peer[] = [
  {
    name: "inlay",
    package: "inlay",
    note: "engine and precision as `auto` chooses them, F16 file",
    serves: everything,
    load: load(f16, {}),
  },
  {
    name: "inlay-f32",
    package: "inlay",
    note: "the fused engine, precision f32, F16 file",
    serves: everything,
    load: load(f16, { engine: "fused", precision: "f32" }),
  },
  {
    name: "inlay-int8",
    package: "inlay",
    note: "the fused engine, precision int8, F16 file",
    serves: everything,
    load: load(f16, { engine: "fused", precision: "int8" }),
  },
  {
    name: "llama.cpp",
    package: "inlay",
    note: "llama.cpp as inlay's ggml engine runs it, F16 file",
    serves: everything,
    load: load(f16, { engine: "ggml" }),
  },
  {
    name: "llama.cpp-q8",
    package: "inlay",
    note: "the same, Q8_0 file",
    serves: everything,
    load: load(q8, { engine: "ggml" }),
  },
];
