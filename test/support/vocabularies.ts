// llama.cpp's vocabulary files, each with texts (.inp) and the ids these have (.out), around tiny models.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, makeModel, vocabularyFolder } from "./synthetic.ts";

const SEPARATOR = "\n__ggml_vocab_test__\n";

export interface VocabularyCase {
  text: string;
  ids: number[];
}

/** Every vocabulary that comes with texts and their ids. */
export function testedVocabularies(): string[] {
  return readdirSync(vocabularyFolder())
    .map((file) => /^ggml-vocab-(.+)\.gguf\.inp$/.exec(file)?.[1])
    .filter((name) => name !== undefined)
    .filter((name) => existsSync(join(vocabularyFolder(), `ggml-vocab-${name}.gguf`)));
}

/** The texts of a vocabulary with their ids, special tokens neither added nor recognised. */
export function vocabularyCases(name: string): VocabularyCase[] {
  const read = (ending: string) => readFileSync(join(vocabularyFolder(), `ggml-vocab-${name}.gguf.${ending}`), "utf8");
  const lines = read("out").split("\n").slice(0, -1);
  const texts = read("inp").split(SEPARATOR);
  if (texts.at(-1) === "") texts.pop();
  if (texts.length !== lines.length) throw new Error(`${name}: ${texts.length} texts, ${lines.length} lines of ids`);
  return texts.map((text, i) => ({ text, ids: (lines[i]!.match(/\d+/g) ?? []).map(Number) }));
}

/** Embedding architectures that are used with these vocabularies; the rest goes with any. */
const ARCHITECTURES: Record<string, Architecture> = {
  "bert-bge": "bert",
  "llama-spm": "gemma-embedding",
  "phi-3": "gemma-embedding",
  "llama-bpe": "eurobert",
};

export function modelAround(vocabulary: string): Promise<string> {
  return makeModel({
    architecture: ARCHITECTURES[vocabulary] ?? "qwen3",
    vocabulary,
    layers: 2,
    dim: 32,
    heads: 1,
    kvHeads: 1,
    ffn: 32,
    embeddings: "q4_0",
  });
}
