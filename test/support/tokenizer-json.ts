import type { Gguf } from "./gguf.ts";

/**
 * Hugging Face's description of a tokenizer (`tokenizer.json`) made from the vocabulary inside a GGUF file, so that an
 * independent implementation can be asked for the ids of the same vocabulary.
 */
export interface TokenizerJson {
  version: "1.0";
  truncation: null;
  padding: null;
  added_tokens: AddedToken[];
  normalizer: object | null;
  pre_tokenizer: object | null;
  post_processor: null;
  decoder: null;
  model: { type: string; [key: string]: unknown };
}

interface AddedToken {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

const CONTROL = 3;
const UNKNOWN = 2;
const USER_DEFINED = 4;
const UNUSED = 5;
const NORMAL = 1;

const QWEN2_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LLAMA3_SPLIT = QWEN2_SPLIT.replace("|\\p{N}|", "|\\p{N}{1,3}|");

/** `parseSpecial`: whether control tokens are found in a text, too. */
export function tokenizerJson(file: Gguf, options: { parseSpecial?: boolean } = {}): TokenizerJson {
  const get = (key: string) => file.get(`tokenizer.ggml.${key}`);
  const tokens = get("tokens") as string[];
  const types = (get("token_type") as number[] | undefined) ?? tokens.map(() => NORMAL);
  const model = get("model") as string;
  const added: AddedToken[] = [];
  const add = (id: number, special: boolean) =>
    added.push({
      id,
      content: tokens[id]!,
      single_word: false,
      lstrip: tokens[id] === "[MASK]" && get("pre") === "modern-bert",
      rstrip: false,
      // The runs of spaces of GPT-NeoX's vocabulary, found in what is left between the special tokens.
      normalized: !special && ["modern-bert", "mpt", "olmo"].includes(get("pre") as string),
      special,
    });
  types.forEach((type, id) => {
    if (type === USER_DEFINED) add(id, false);
    else if (options.parseSpecial && (type === CONTROL || type === UNKNOWN)) add(id, true);
  });
  const texts = reachable(tokens, types, options.parseSpecial ?? false);
  const parts =
    model === "bert"
      ? wordPiece(tokens, get)
      : model === "t5"
        ? unigram(texts, get)
        : model === "gpt2"
          ? byteBpe(texts, get)
          : sentencePieceBpe(texts, types, get);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    post_processor: null,
    decoder: null,
    ...parts,
  };
}

type Get = (key: string) => unknown;
type Parts = Pick<TokenizerJson, "normalizer" | "pre_tokenizer" | "model">;

/** The tokens' texts, with one that stands in no input for those that ordinary text must not become. */
function reachable(tokens: string[], types: number[], parseSpecial: boolean): string[] {
  return tokens.map((token, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN;
    return types[id] === UNUSED || (special && !parseSpecial) ? `\u{10ffff}${id}` : token;
  });
}

function wordPiece(tokens: string[], get: Get): Parts {
  const vocab: Record<string, number> = {};
  tokens.forEach((token, id) => {
    const word = token.startsWith("\u2581") && token.length > 1;
    vocab[word ? token.slice(1) : /^\[.+\]$/.test(token) ? token : `##${token}`] = id;
  });
  const lowercase = (get("normalizer.lowercase") as boolean | undefined) ?? true;
  return {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: (get("normalizer.strip_accents") as boolean | undefined) ?? lowercase,
      lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

function unigram(tokens: string[], get: Get): Parts {
  const scores = get("scores") as number[];
  const pieces = tokens.map((token, id) => [token, scores[id]!] as const);
  return {
    // The charsmap is applied by the caller (see Charsmap): implementations differ from SentencePiece in it.
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "WhitespaceSplit" },
        { type: "Metaspace", replacement: "\u2581", add_prefix_space: true, prepend_scheme: "always" },
      ],
    },
    model: { type: "Unigram", unk_id: get("unknown_token_id"), vocab: pieces, byte_fallback: false },
  };
}

function byteBpe(tokens: string[], get: Get): Parts {
  const pre = get("pre");
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const byteLevel = (useRegex: boolean) => ({
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: useRegex,
  });
  const split = (regex: string) => ({
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
      byteLevel(false),
    ],
  });
  const composed = ["qwen2", "modern-bert", "mpt", "olmo"].includes(pre as string);
  return {
    normalizer: composed ? { type: "NFC" } : null,
    pre_tokenizer: pre === "qwen2" ? split(QWEN2_SPLIT) : pre === "llama-bpe" ? split(LLAMA3_SPLIT) : byteLevel(true),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre === "llama-bpe",
      vocab,
      merges: get("merges"),
    },
  };
}

function sentencePieceBpe(tokens: string[], types: number[], get: Get): Parts {
  const scores = get("scores") as number[];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const pieces = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === NORMAL) pieces.set(token, id);
  });
  // Every way to cut a piece in two pieces is a merge; the score of what it makes says which comes first.
  const merges: { left: string; right: string; score: number }[] = [];
  for (const [piece, id] of pieces) {
    const characters = Array.from(piece);
    for (let cut = 1; cut < characters.length; cut++) {
      const left = characters.slice(0, cut).join("");
      const right = characters.slice(cut).join("");
      if (pieces.has(left) && pieces.has(right)) merges.push({ left, right, score: scores[id]! });
    }
  }
  merges.sort((a, b) => b.score - a.score);
  const replace = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const prepend = (get("add_space_prefix") as boolean | undefined) ?? true;
  return {
    normalizer: prepend
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, replace] }
      : replace,
    pre_tokenizer: null,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: tokens[get("unknown_token_id") as number],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab,
      merges: merges.map(({ left, right }) => [left, right]),
    },
  };
}

/** SentencePiece's normalisation table: byte sequences and what they become, the longest match first. */
export class Charsmap {
  readonly #replacements = new Map<string, string>();
  #longest = 0;

  /** `stored`: tokenizer.ggml.precompiled_charsmap: a double-array trie, then the replacements, each ended by NUL. */
  constructor(stored: readonly number[]) {
    const bytes = Buffer.from(stored);
    const size = bytes.readUInt32LE(0);
    const unit = (index: number) => bytes.readUInt32LE(4 + 4 * index);
    const units = size / 4;
    const offset = (value: number) => (value >>> 10) << ((value & (1 << 9)) >>> 6);
    const replacement = (at: number) => {
      const start = 4 + size + at;
      return bytes.toString("utf8", start, bytes.indexOf(0, start));
    };
    const walk = (base: number, prefix: number[]) => {
      for (let byte = 1; byte < 256; byte++) {
        const index = base ^ byte;
        if (index >= units) continue;
        const child = unit(index);
        if ((child & 0x800000ff) !== byte) continue;
        const next = index ^ offset(child);
        const key = [...prefix, byte];
        if (child & 0x100) {
          const text = Buffer.from(key).toString("utf8");
          this.#replacements.set(text, replacement(unit(next) & 0x7fffffff));
          this.#longest = Math.max(this.#longest, text.length);
        }
        walk(next, key);
      }
    };
    walk(offset(unit(0)), []);
  }

  normalize(text: string): string {
    let out = "";
    for (let at = 0; at < text.length; ) {
      let size = Math.min(this.#longest, text.length - at);
      while (size > 0 && !this.#replacements.has(text.slice(at, at + size))) size--;
      if (size > 0) {
        out += this.#replacements.get(text.slice(at, at + size));
        at += size;
      } else {
        const character = String.fromCodePoint(text.codePointAt(at)!);
        out += character;
        at += character.length;
      }
    }
    return out;
  }
}
