// The project's reference models and the vectors they must give. They are not part of a clone: tests that need them
// are skipped with a sentence where they are absent, unless INLAY_REQUIRE_REFERENCE=1 asks for a failure.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export interface GoldenText {
  name: string;
  text: string;
  /** As llama.cpp's tokenizer gives them, special tokens included. */
  ids: number[];
  embedding: number[];
  /** The same with the tanh form of GELU, where the model is defined with the erf form. */
  embedding_tanh_gelu?: number[];
  /** Where the model's original tokenizer gives other ids. */
  ids_hf?: number[];
  embedding_hf?: number[];
  embedding_tanh_gelu_hf?: number[];
}

export interface GoldenModel {
  name: string;
  path: string;
  dims: number;
  texts: GoldenText[];
}

const asked = process.env.INLAY_REFERENCE;
const folder = resolve(asked || join(__dirname, "..", "..", "..", "shared", "reference"));

/** Whether the reference models are at hand. */
export const hasReference = existsSync(folder);

if (!hasReference) {
  const sentence = `The reference models are not at hand (${asked ? `INLAY_REFERENCE=${asked}` : folder})`;
  if (process.env.INLAY_REQUIRE_REFERENCE === "1") throw new Error(`${sentence}, and INLAY_REQUIRE_REFERENCE is set.`);
  console.warn(`${sentence}: tests against golden vectors are skipped.`);
}

/** Names of the reference models; one that stands for them all where they are absent, so that tests show as skipped. */
export const goldenNames: string[] = hasReference
  ? readdirSync(folder)
      .filter((file) => file.endsWith(".gguf"))
      .map((file) => file.slice(0, -".gguf".length))
  : ["every reference model"];

export function goldenModel(name: string): GoldenModel {
  const file = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
  return { name, path: join(folder, `${name}.gguf`), dims: file.dims, texts: [...file.texts, ...file.extra_texts] };
}
