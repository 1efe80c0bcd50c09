// Our exact tokenizers against an independent implementation, Hugging Face's tokenizers in JavaScript, fed the same
// vocabulary. INLAY_TOKENIZER_CASES: texts per vocabulary.
import { Tokenizer } from "@huggingface/tokenizers";
import { expect, onTestFinished, test } from "vitest";
import { loadModel } from "../lib/index.ts";
import { Gguf } from "./support/gguf.ts";
import { RandomText } from "./support/random-text.ts";
import { makeModel } from "./support/synthetic.ts";
import { Charsmap, tokenizerJson } from "./support/tokenizer-json.ts";
import { modelAround } from "./support/vocabularies.ts";

const CASES = Number(process.env.INLAY_TOKENIZER_CASES ?? 2000);
const MS_PER_CASE = 30;

/** Where the JavaScript implementation departs from the original one, in Rust, and what brings it back. */
interface Departure {
  because: string;
  /** Does not change what the original makes of a text. */
  rewrite?: (text: string) => string;
  /** Texts of which only the part that both treat alike is compared. */
  leaveOut?: RegExp;
}

const BERT: Departure[] = [
  {
    because: "it sets ideographs of the first plane apart only",
    rewrite: (text) =>
      text.replace(/[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu, " $& "),
  },
  {
    because:
      "it lowercases whole texts, with the final form of sigma at the end of words; the original single characters",
    rewrite: (text) => text.replaceAll("Σ", "σ"),
  },
];
const GPT2: Departure[] = [
  {
    because: "white space is JavaScript's, which has U+FEFF and lacks U+0085; the original has Unicode's White_Space",
    leaveOut: /[\u0085\ufeff]/g,
  },
];
const QWEN2: Departure[] = [
  {
    because: "it ignores the case of ASCII letters only in 's; the original folds U+017F to s",
    leaveOut: /'\u017f/g,
  },
];

const VOCABULARIES: [name: string, departures: Departure[], model: () => Promise<string>][] = [
  ["bert-bge", BERT, () => modelAround("bert-bge")],
  ["nomic-bert-moe", [], () => makeModel({ architecture: "bert", vocabulary: "nomic-bert-moe", dim: 32, heads: 1 })],
  ["llama-spm", [], () => modelAround("llama-spm")],
  ["qwen2", QWEN2, () => modelAround("qwen2")],
  ["gpt-neox of modern-bert", GPT2, () => makeModel({ architecture: "modern-bert" })],
  ["llama-bpe", QWEN2, () => modelAround("llama-bpe")],
];

test.each(VOCABULARIES)(
  "%s: ids of random texts",
  async (_, departures, makeFile) => {
    const path = await makeFile();
    const model = await loadModel(path, { tokenizer: "exact" });
    onTestFinished(() => model.dispose());
    expect(model.info.tokenizer).toBe("exact");

    const file = new Gguf(path);
    const stored = file.get("tokenizer.ggml.precompiled_charsmap") as number[] | undefined;
    const charsmap = stored && new Charsmap(stored);
    const tokens = (file.get("tokenizer.ggml.tokens") as string[]).map((token) => token.replace(/^\u2581/, ""));
    const touched = departures.map(() => 0);

    for (const parseSpecial of [false, true]) {
      const original = new Tokenizer(tokenizerJson(file, { parseSpecial }), {});
      const random = new RandomText(parseSpecial ? 2 : 1, tokens);
      for (let i = parseSpecial ? Math.ceil(CASES / 5) : CASES; i > 0; i--) {
        let text = random.next();
        let given = text;
        departures.forEach(({ rewrite, leaveOut }, d) => {
          if (leaveOut) text = text.replace(leaveOut, "");
          const changed = rewrite ? rewrite(given) : given.replace(leaveOut!, "");
          if (changed !== given) touched[d]!++;
          given = changed;
        });
        const ids = await model.tokenize(text, { addSpecial: false, parseSpecial });
        const expected = original.encode(charsmap?.normalize(given) ?? given, { add_special_tokens: false }).ids;
        expect(Array.from(ids), JSON.stringify(text)).toEqual(expected);
      }
    }
    departures.forEach(({ because }, d) => {
      console.log(`${touched[d]} texts: ${because}`);
    });
  },
  60_000 + MS_PER_CASE * CASES,
);
