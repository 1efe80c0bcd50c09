// A WordPiece vocabulary of many languages, from the pieces and frequencies of XLM-R's unigram vocabulary.
//
// WordPiece sees text without case and accents, cut at spaces, punctuation and Han characters. The source's pieces
// are put through the same cuts; what falls together adds up its probability, and the most probable pieces stay.
// The probability is kept: it says how little a piece means (vectors.mjs).

const SPACE = "▁"; // marks a piece that starts a word, in the source and in GGUF's form of WordPiece
export const SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

const HAN = /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/u;
// Every ASCII symbol counts as punctuation in BERT, whatever Unicode says of it.
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;
const STRIPPED = /[\p{Mn}\p{Cc}\p{Cf}\p{Co}\p{Cn}\ufffd]/gu;
// Written without spaces: a piece may follow a cut or another piece.
const UNSPACED = /^[\p{sc=Hiragana}\p{sc=Katakana}ー\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}\p{sc=Tibetan}]/u;

// The alphabets and syllabaries that are completed where the source has a part of them.
const SCRIPTS = [
  "Latin",
  "Greek",
  "Cyrillic",
  "Armenian",
  "Hebrew",
  "Arabic",
  "Devanagari",
  "Bengali",
  "Gurmukhi",
  "Gujarati",
  "Tamil",
  "Telugu",
  "Kannada",
  "Malayalam",
  "Thai",
  "Georgian",
  "Hiragana",
  "Katakana",
].map(
  (script) =>
    new RegExp(`^[[\\p{sc=${script}}&&[\\p{L}\\p{Nd}\\p{Mc}]]--[\u1d00-\u1dbf\ufb50-\ufdff\ufe70-\ufeff]]$`, "v"),
);
const LAST_OF_BMP = 0xffff;

const HAN_LENGTH = 4;

const standsAlone = (character) => HAN.test(character) || PUNCTUATION.test(character);

/** As BERT's uncased normaliser does it. */
const normalise = (text) => text.normalize("NFD").replace(STRIPPED, "").toLowerCase();

/** @returns {string[]} the words of normalised text without spaces. */
function cut(text) {
  const words = [];
  let open = false;
  for (const character of text) {
    const alone = standsAlone(character);
    if (open && !alone) words[words.length - 1] += character;
    else words.push(character);
    open = !alone;
  }
  return words;
}

/** Adds up what each WordPiece token gets of the source's probability. */
function gather(pieces) {
  const probability = new Map();
  const add = (token, p) => probability.set(token, (probability.get(token) ?? 0) + p);
  for (const { text, score } of pieces) {
    const p = Math.exp(score);
    const startsWord = text.startsWith(SPACE);
    cut(normalise(startsWord ? text.slice(SPACE.length) : text)).forEach((word, index) => {
      if (/\s|▁/u.test(word)) return;
      if (startsWord || index > 0 || standsAlone(word)) add(SPACE + word, p);
      else {
        add(word, p);
        if (UNSPACED.test(word)) add(SPACE + word, p);
      }
    });
  }
  return probability;
}

/**
 * Both forms of every character of the scripts that the source knows, so that few words are unknown. Han characters
 * are too many: rare ones are left out by the ranking.
 */
function characters(probability) {
  const known = new Set([...probability.keys()].flatMap((token) => [...token.replace(SPACE, "")]));
  const scripts = SCRIPTS.filter((script) => [...known].some((character) => script.test(character)));
  for (let point = 0x21; point < LAST_OF_BMP; point++) {
    const character = String.fromCharCode(point);
    if (scripts.some((script) => script.test(character)) && normalise(character) === character) known.add(character);
  }
  const forms = new Set();
  for (const character of known) {
    if (HAN.test(character)) continue;
    forms.add(SPACE + character);
    if (!standsAlone(character)) forms.add(character);
  }
  return forms;
}

/**
 * @param {{text: string, score: number}[]} pieces of a SentencePiece unigram vocabulary; scores are log probabilities
 * @param {number} size tokens wanted, special tokens included
 * @returns {{token: string, text: string, startsWord: boolean, probability: number}[]} without the special tokens, in a fixed order
 */
export function buildVocabulary(pieces, size) {
  const probability = gather(pieces);
  const kept = characters(probability);
  // A long piece carries more of a word's meaning than a short one that is as frequent. Han characters are words.
  const byUse = [...probability]
    .map(([token, p]) => ({ token, use: p * (HAN.test(token) ? HAN_LENGTH : token.length) }))
    .sort((a, b) => b.use - a.use || (a.token < b.token ? -1 : 1));
  for (const { token } of byUse) {
    if (kept.size >= size - SPECIAL.length) break;
    kept.add(token);
  }
  return [...kept].sort().map((token) => {
    const startsWord = token.startsWith(SPACE);
    return {
      token,
      text: startsWord ? token.slice(SPACE.length) : token,
      startsWord,
      probability: probability.get(token) ?? 0,
    };
  });
}
