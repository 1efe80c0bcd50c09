/** What the catalogue says of a model. A fact that is not certain is left out. */
export interface CatalogueEntry {
  name: string;
  /** Names that Ollama's library or common use gives the same model. */
  otherNames?: readonly string[];
  /** The hub's repository that holds GGUF files. */
  repository: string;
  /** Path in {@link repository}, where it holds more than this model's files. */
  file?: string;
  /** The repository of the authors. */
  original: string;
  /** Quantisations that the repository offers; the hub's own listing at pull time is what counts. */
  quantizations?: readonly string[];
  dimensions: number;
  /** Dimensions that a vector may be cut to without retraining (Matryoshka). */
  cutTo?: readonly number[];
  /** Tokens. */
  contextLength: number;
  pooling: "mean" | "cls" | "last";
  /** Texts that go in front of an input, by task. */
  prompts?: Readonly<Record<string, string>>;
  /** SPDX identifier, or the licence's own name. */
  licence: string;
  languages: string;
  /** Millions. */
  parameters?: number;
}

export const CATALOGUE: readonly CatalogueEntry[] = [
  {
    name: "bge-small-en-v1.5",
    repository: "CompendiumLabs/bge-small-en-v1.5-gguf",
    original: "BAAI/bge-small-en-v1.5",
    dimensions: 384,
    contextLength: 512,
    pooling: "cls",
    prompts: { query: "Represent this sentence for searching relevant passages: " },
    licence: "MIT",
    languages: "English",
  },
];
