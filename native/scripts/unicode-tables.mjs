// Writes native/tokenizer/unicode_tables.inc from the Unicode data of the ICU inside Node:
//   node native/scripts/unicode-tables.mjs > native/tokenizer/unicode_tables.inc
// Tables over code points have two stages: `<name>_index` maps a block of 64 code points to a distinct block.

const LAST = 0x10ffff;
const BLOCK = 64;

const categories = "Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split(
  " ",
);
const inCategory = categories.map((name) => new RegExp(`^\\p{${name}}$`, "u"));
const isSpace = /^\p{White_Space}$/u;

const isSurrogate = (c) => c >= 0xd800 && c <= 0xdfff;
const isHangulSyllable = (c) => c >= 0xac00 && c <= 0xd7a3;
const points = (text) => Array.from(text, (c) => c.codePointAt(0));
const hex = (c) => `0x${c.toString(16)}`;

const category = new Uint8Array(LAST + 1);
const lower = new Map(); // code point → its lowercase, a string
const decomposition = new Map(); // code point → NFD, code points
let guess = 0;
for (let c = 0; c <= LAST; c++) {
  const text = String.fromCodePoint(c);
  if (!inCategory[guess].test(text)) guess = inCategory.findIndex((test) => test.test(text));
  category[c] = guess | (isSpace.test(text) ? 32 : 0);
  if (isSurrogate(c)) continue;
  if (text.toLowerCase() !== text) lower.set(c, text.toLowerCase());
  const nfd = text.normalize("NFD");
  if (nfd !== text && !isHangulSyllable(c)) decomposition.set(c, points(nfd));
}

// JavaScript does not tell combining classes, but normalization shows their order, which is all that is needed:
// two marks are exchanged exactly where the first one's class is the higher one. U+0345 has the highest class, 240.
const HIGHEST = "\u0345";
const marks = [];
for (let c = 0; c <= LAST; c++) {
  if (isSurrogate(c) || decomposition.has(c) || isHangulSyllable(c)) continue;
  const text = String.fromCodePoint(c);
  if (text === HIGHEST || (HIGHEST + text).normalize("NFD") === text + HIGHEST) marks.push(text);
}
const compare = (a, b) => {
  if ((a + b).normalize("NFD") !== a + b) return 1;
  return (b + a).normalize("NFD") !== b + a ? -1 : 0;
};
marks.sort(compare);
const combining = new Uint8Array(LAST + 1);
let rank = 0;
marks.forEach((mark, i) => {
  if (i === 0 || compare(marks[i - 1], mark) !== 0) rank++;
  combining[mark.codePointAt(0)] = rank;
});

const pairs = []; // [first, second, composite]
for (const [c, parts] of decomposition) {
  if (parts.length < 2 || String.fromCodePoint(c).normalize("NFC") !== String.fromCodePoint(c)) continue;
  const first = points(String.fromCodePoint(...parts.slice(0, -1)).normalize("NFC"));
  if (first.length !== 1) throw new Error(`U+${c.toString(16)} does not decompose into a pair`);
  pairs.push([first[0], parts[parts.length - 1], c]);
}
pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);

// Bit 6: the text may change under NFC here. Bit 7: it may change under NFD.
const seconds = new Set(pairs.map((pair) => pair[1]));
for (let c = 0; c <= LAST; c++) {
  if (isSurrogate(c)) continue;
  const text = String.fromCodePoint(c);
  const vowelOrFinal = (c >= 0x1161 && c <= 0x1175) || (c >= 0x11a8 && c <= 0x11c2);
  if (combining[c] || seconds.has(c) || vowelOrFinal || text.normalize("NFC") !== text) category[c] |= 64;
  if (combining[c] || decomposition.has(c) || isHangulSyllable(c)) category[c] |= 128;
}

// U+0130 alone becomes two code points; unicode.cpp knows it.
const deltas = [0];
const lowerDelta = new Uint8Array(LAST + 1);
for (const [c, text] of lower) {
  const to = points(text);
  if (to.length !== 1) {
    if (c !== 0x130) throw new Error(`the lowercase of U+${c.toString(16)} has ${to.length} code points`);
    continue;
  }
  const delta = to[0] - c;
  if (!deltas.includes(delta)) deltas.push(delta);
  lowerDelta[c] = deltas.indexOf(delta);
}

const pool = [0];
const decompositionAt = new Uint16Array(LAST + 1);
for (const [c, parts] of decomposition) {
  decompositionAt[c] = pool.length;
  pool.push(...parts);
  pool[pool.length - 1] += 0x80000000;
}

const out = [];
function array(type, name, values) {
  out.push(`inline constexpr ${type} ${name}[] = {`);
  let line = " ";
  for (const value of values) {
    if (line.length + value.length + 1 > 100) {
      out.push(line);
      line = " ";
    }
    line += `${value},`;
  }
  out.push(line, "};", "");
}

// The index ends with the last block that is not all zero.
function twoStages(type, name, table) {
  const blocks = new Map();
  const index = [];
  for (let start = 0; start < table.length; start += BLOCK) {
    const key = table.subarray(start, start + BLOCK).join();
    if (!blocks.has(key)) blocks.set(key, blocks.size);
    index.push(blocks.get(key));
  }
  const last = table.findLastIndex((value) => value !== 0);
  index.length = Math.floor(last / BLOCK) + 1;
  array(blocks.size > 256 ? "uint16_t" : "uint8_t", `${name}_index`, index.map(String));
  array(
    type,
    `${name}_blocks`,
    [...blocks.keys()].flatMap((key) => key.split(",")),
  );
}

out.push(`// Unicode ${process.versions.unicode}, written by native/scripts/unicode-tables.mjs.`, "");
out.push(`inline constexpr char unicode_version[] = "${process.versions.unicode}";`, "");
// Planes 4 to 16 hold a few long runs only.
const HIGH = 0x40000;
const runs = [];
for (let c = HIGH; c <= LAST; c++) {
  if (category[c] === 0) continue;
  if (category[c - 1] === category[c] && c > HIGH) runs[runs.length - 1][1] = c;
  else runs.push([c, c, category[c]]);
}
twoStages("uint8_t", "category", category.subarray(0, HIGH));
out.push("// Categories from U+40000 on: first, last, category.");
array("uint32_t", "high_categories", runs.flat().map(hex));
twoStages("uint8_t", "combining", combining);
twoStages("uint8_t", "lower", lowerDelta);
array("int32_t", "lower_deltas", deltas.map(String));
twoStages("uint16_t", "decomposition", decompositionAt);
out.push("// Full canonical decompositions; the top bit marks the last code point of one.");
array("uint32_t", "decomposition_pool", pool.map(hex));
out.push("// Primary composites as first, second, composite; sorted.");
array("uint32_t", "composition", pairs.flat().map(hex));
console.log(out.join("\n").trimEnd());
