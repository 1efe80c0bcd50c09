/** Texts that look for trouble: every script, normal form and kind of space, control characters, emoji, long words. */
export class RandomText {
  #state: number;
  readonly #words: readonly string[];

  /** `words`: texts to be mixed in, such as the tokens of a vocabulary. */
  constructor(seed: number, words: readonly string[]) {
    this.#state = seed >>> 0;
    this.#words = words;
  }

  next(): string {
    let text = "";
    for (let parts = 1 + this.#below(this.#below(8) === 0 ? 40 : 8); parts > 0; parts--) {
      text += this.#part();
      if (this.#below(3) > 0) text += this.#below(6) > 0 ? " " : this.#pick(SPACES);
    }
    const form = this.#pick(["", "", "NFC", "NFD", "NFKC", "NFKD"]);
    return form === "" ? text : text.normalize(form);
  }

  // Mulberry32.
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#below(values.length)]!;
  }

  #from([first, last]: readonly [number, number]): string {
    const point = first + this.#below(last - first + 1);
    return point >= 0xd800 && point <= 0xdfff ? "\ufffd" : String.fromCodePoint(point);
  }

  #run(length: number, character: () => string): string {
    return Array.from({ length }, character).join("");
  }

  #part(): string {
    const length = 1 + this.#below(12);
    switch (this.#below(14)) {
      case 0:
      case 1:
      case 2: {
        const block = this.#pick(BLOCKS);
        return this.#run(length, () => this.#from(block));
      }
      case 3:
      case 4:
        return this.#pick(this.#words);
      case 5:
        return this.#run(length, () => this.#pick(LATIN)) + this.#pick(SUFFIXES);
      case 6:
        return this.#pick(LATIN) + this.#run(length, () => this.#from(this.#pick(MARKS)));
      case 7:
        return this.#run(this.#below(4), () => this.#pick(EMOJI));
      case 8:
        return this.#pick(LITERALS);
      case 9:
        return this.#run(length, () => this.#from(this.#pick(ODD)));
      case 10:
        return this.#run(length, () => this.#pick(SPACES));
      case 11: {
        const block = this.#below(2) > 0 ? this.#pick(BLOCKS) : ([0x61, 0x7a] as const);
        return this.#run(88 + this.#below(30), () => this.#from(block));
      }
      case 12:
        return this.#run(length, () => this.#pick("!?.,;:-_()[]{}<>@#$%^&*+=~`|\\/'\"".split("")));
      default:
        return this.#run(length, () => this.#pick("0123456789".split("")));
    }
  }
}

const LATIN = Array.from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZéèüßñçøåÉÀÖİıſŉǅ");
const SUFFIXES = ["", "'s", "'t", "'LL", "'re", "'VE", "'d", "'M", "\u2019s", "'x", "'", "ing", "1", "\u0301"];
const SPACES = [
  " ",
  "  ",
  "   ",
  "\t",
  "\n",
  "\r",
  "\r\n",
  "\n\n",
  " \n",
  "\u000b",
  "\u000c",
  "\u0085",
  "\u00a0",
  "\u1680",
  "\u180e",
  "\u2000",
  "\u2003",
  "\u2009",
  "\u200b",
  "\u2028",
  "\u2029",
  "\u202f",
  "\u205f",
  "\u2060",
  "\u3000",
  "\ufeff",
  "\u2581",
];
const EMOJI = [
  "\u{1f600}",
  "\u{1f44d}\u{1f3fd}",
  "\u{1f469}\u200d\u{1f680}",
  "1\ufe0f\u20e3",
  "#\u20e3",
  "\u2764\ufe0f",
  "\u{1f1e9}\u{1f1ea}",
  "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}",
  "\u{1fae0}",
  "\u00a9",
  "\u203c\ufe0f",
];
const LITERALS = [
  "[SEP]",
  "[CLS]",
  "[UNK]",
  "[MASK]",
  " [MASK] ",
  "[PAD]",
  "[unused1]",
  "<s>",
  "</s>",
  "<mask>",
  "<unk>",
  "<pad>",
  "<|endoftext|>",
  "<|im_start|>",
  "<0x0A>",
  "<bos>",
  "##ing",
  "https://example.org/a?b=c&d=%20",
  "x=f(y[0]);",
  "don't",
  "WE'LL",
  "naïve",
  "Straße",
  "ＦＵＬＬ１２３",
  "ﬁﬂﬃ",
  "½¾Ⅷ",
  "①②",
  "㎏㏒",
  "ΑΣ",
  "ὈΔΥΣΣΕΎΣ",
  "İstanbul",
  "x'ſa 'ſ",
];
const MARKS: (readonly [number, number])[] = [
  [0x0300, 0x036f],
  [0x0483, 0x0489],
  [0x0591, 0x05bd],
  [0x064b, 0x0652],
  [0x093c, 0x094d],
  [0x0e38, 0x0e4b],
  [0x1ab0, 0x1abd],
  [0x1dc0, 0x1df9],
  [0x20d0, 0x20f0],
  [0x302a, 0x302f],
  [0x3099, 0x309a],
  [0x1d165, 0x1d169],
  [0xfe20, 0xfe2f],
  [0x0f71, 0x0f84],
];
const ODD: (readonly [number, number])[] = [
  [0x00, 0x1f],
  [0x7f, 0xa0],
  [0xad, 0xad],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x206f],
  [0xd800, 0xdfff],
  [0xe000, 0xf8ff],
  [0xfdd0, 0xfdef],
  [0xfff0, 0xffff],
  [0xe0001, 0xe007f],
  [0xe0100, 0xe01ef],
  [0xf0000, 0xf00ff],
  [0x40000, 0x400ff],
  [0x10fff0, 0x10fffe],
  [0xfe00, 0xfe0f],
  [0x180b, 0x180e],
];
const BLOCKS: (readonly [number, number])[] = [
  [0x20, 0x7e],
  [0xa0, 0xff],
  [0x100, 0x17f],
  [0x180, 0x24f],
  [0x250, 0x2ff],
  [0x370, 0x377],
  [0x388, 0x3ff],
  [0x400, 0x52f],
  [0x531, 0x556],
  [0x561, 0x587],
  [0x5d0, 0x5ea],
  [0x600, 0x6ff],
  [0x710, 0x74a],
  [0x780, 0x7b1],
  [0x900, 0x97f],
  [0x985, 0x9b9],
  [0xa05, 0xa39],
  [0xa85, 0xab9],
  [0xb05, 0xb39],
  [0xb83, 0xbb9],
  [0xc05, 0xc39],
  [0xc85, 0xcb9],
  [0xd05, 0xd3a],
  [0xd85, 0xdc6],
  [0xe01, 0xe3a],
  [0xe81, 0xeb0],
  [0xf40, 0xf6c],
  [0x1000, 0x109f],
  [0x10a0, 0x10ff],
  [0x1100, 0x11ff],
  [0x1200, 0x1248],
  [0x13a0, 0x13f5],
  [0x1401, 0x167f],
  [0x1681, 0x169a],
  [0x16a0, 0x16ea],
  [0x1780, 0x17b3],
  [0x1820, 0x1878],
  [0x1900, 0x191e],
  [0x1e00, 0x1eff],
  [0x1f00, 0x1fff],
  [0x2010, 0x2027],
  [0x2030, 0x205e],
  [0x2070, 0x209c],
  [0x20a0, 0x20bf],
  [0x2100, 0x218b],
  [0x2190, 0x23ff],
  [0x2460, 0x24ff],
  [0x2500, 0x25ff],
  [0x2600, 0x27bf],
  [0x2800, 0x28ff],
  [0x2c00, 0x2c5f],
  [0x2c60, 0x2c7f],
  [0x2d30, 0x2d67],
  [0x3001, 0x303f],
  [0x3041, 0x3096],
  [0x30a0, 0x30ff],
  [0x3105, 0x312f],
  [0x3131, 0x318e],
  [0x3200, 0x33ff],
  [0x3400, 0x4db5],
  [0x4e00, 0x9fef],
  [0xa000, 0xa48c],
  [0xa4d0, 0xa4ff],
  [0xa640, 0xa69d],
  [0xa722, 0xa788],
  [0xa840, 0xa877],
  [0xac00, 0xd7a3],
  [0xf900, 0xfad9],
  [0xfb00, 0xfb06],
  [0xfb1d, 0xfb4f],
  [0xfb50, 0xfbb1],
  [0xfe70, 0xfefc],
  [0xff01, 0xffee],
  [0x10000, 0x100fa],
  [0x10330, 0x1034a],
  [0x10400, 0x1049d],
  [0x10900, 0x1091b],
  [0x11005, 0x11037],
  [0x12000, 0x12399],
  [0x13000, 0x1342e],
  [0x1d000, 0x1d0f5],
  [0x1d400, 0x1d7ff],
  [0x1f000, 0x1f02b],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6d2],
  [0x20000, 0x2a6d6],
  [0x2a700, 0x2b734],
  [0x2b740, 0x2b81d],
  [0x2b820, 0x2cea1],
  [0x2f800, 0x2fa1d],
];
