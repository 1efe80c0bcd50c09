// Token vectors from character n-grams: tokens that share letters in a row lie near each other.
//
// Every n-gram has a random ±1 vector, drawn from a hash of its text; a token's vector is their weighted sum, of unit
// length (after fastText's subword vectors: Bojanowski et al. 2017, arXiv:1607.04606, without the training).

/** Inflection sits at a word's end, so what a word starts with says more than what it contains. */
const PREFIX_WEIGHT = [0, 0, 0.5, 1.4, 1.3, 0.9];
const INNER_WEIGHT = [0, 0, 0.25, 0.4, 0.4, 0.3];
const WHOLE_WEIGHT = 0.6;

/** FNV-1a over UTF-16 code units. */
function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** Adds `weight` times the ±1 vector of a feature. */
function addFeature(vector, feature, weight) {
  let state = hash(feature) | 1;
  for (let start = 0; start < vector.length; start += 16) {
    // xorshift32 (Marsaglia 2003); the product's upper half is random even where two states are near.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    let bits = Math.imul(state, 0x9e3779b1) >>> 16;
    for (let i = start; i < start + 16; i++, bits >>= 1) vector[i] += weight * (1 - 2 * (bits & 1));
  }
}

/** @returns {Map<string, number>} feature → weight; repeated n-grams count once. */
function features({ text, startsWord }) {
  const characters = [...text.normalize("NFKC")];
  const found = new Map([[`=${text}`, WHOLE_WEIGHT]]);
  for (let n = 1; n <= 5; n++) {
    for (let start = 0; start + n <= characters.length; start++) {
      const gram = characters.slice(start, start + n).join("");
      if (INNER_WEIGHT[n] > 0) found.set(gram, INNER_WEIGHT[n]);
      if (start === 0 && startsWord && PREFIX_WEIGHT[n] > 0) found.set(`<${gram}`, PREFIX_WEIGHT[n]);
    }
  }
  return found;
}

function removeComponent(vector, along) {
  let dot = 0;
  let square = 0;
  for (let i = 0; i < vector.length; i++) {
    dot += vector[i] * along[i];
    square += along[i] ** 2;
  }
  for (let i = 0; i < vector.length; i++) vector[i] -= (dot / square) * along[i];
}

/**
 * @param {Float64Array} shared a direction of mean 0
 * @returns {Float64Array} the token's direction: unit length, mean 0, orthogonal to `shared`
 */
export function tokenDirection(token, shared) {
  const vector = new Float64Array(shared.length);
  for (const [feature, weight] of features(token)) addFeature(vector, feature, weight);
  removeComponent(vector, new Float64Array(shared.length).fill(1));
  removeComponent(vector, shared);
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return vector.map((x) => x / length);
}

/** Smooth inverse frequency (Arora et al. 2017): 1 for a rare token, towards 0 for the most frequent ones. */
export const tokenWeight = (probability, scale) => scale / (scale + probability);
