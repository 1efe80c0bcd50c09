// Texts of a known number of tokens: words that are one token each, drawn with a fixed seed.
import { Gguf } from "../test/support/gguf.ts";
import { random } from "../test/support/synthetic.ts";
import type { BenchText } from "./peers/peer.ts";

export class TextSource {
  readonly #words: { word: string; id: number }[];
  /** Special tokens around a text. */
  readonly #before: number[];
  readonly #after: number[];
  readonly #bert: boolean;

  constructor(gguf: string) {
    const file = new Gguf(gguf);
    const get = (key: string) => file.get(`tokenizer.ggml.${key}`);
    const tokens = get("tokens") as string[];
    const id = (name: string) => get(`${name}_token_id`) as number;
    const byteLevel = get("model") === "gpt2";
    const marked = byteLevel ? /^Ġ[a-z]{4,9}$/ : /^▁[a-z]{4,9}$/;
    // Byte-level BPE has no mark on the first word: only words that are a token either way will do.
    const bare = byteLevel ? new Set(tokens) : undefined;
    this.#words = tokens
      .map((token, index) => ({ word: token.slice(1), id: index, token }))
      .filter(({ token, word }) => marked.test(token) && (bare === undefined || bare.has(word)))
      .slice(0, 8000);
    this.#bert = get("model") === "bert";
    if (this.#bert) {
      this.#before = [id("cls")];
      this.#after = [id("seperator")];
    } else {
      this.#before = get("add_bos_token") ? [id("bos")] : [];
      this.#after = get("add_eos_token") ? [id("eos")] : [];
    }
    file.close();
  }

  /** `lengths`: tokens of each text, specials included. */
  texts(lengths: readonly number[], seed: number): BenchText[] {
    const next = random(seed);
    return lengths.map((tokens) => {
      const count = Math.max(0, tokens - this.#before.length - this.#after.length);
      const words = Array.from({ length: count }, () => this.#words[next() % this.#words.length]!);
      return {
        text: words.map(({ word }) => word).join(" "),
        tokens: this.#before.length + count + this.#after.length,
        ...(this.#bert && { ids: [...this.#before, ...words.map(({ id }) => id), ...this.#after] }),
      };
    });
  }

  uniform(tokens: number, count: number, seed = tokens): BenchText[] {
    return this.texts(new Array<number>(count).fill(tokens), seed);
  }

  /** Lengths like those of real corpora: log-normal with median 48, 2 to 512 tokens. */
  mixed(count: number, seed = 7): BenchText[] {
    const next = random(seed);
    const uniform = () => (next() + 0.5) / 2 ** 32;
    const lengths = Array.from({ length: count }, () => {
      const normal = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
      return Math.round(Math.min(512, Math.max(2, 48 * Math.exp(normal))));
    });
    return this.texts(lengths, seed + 1);
  }
}
