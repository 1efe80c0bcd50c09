/** Texts of many kinds and lengths (0 to about 200 tokens), for comparisons with the reference. */
export const TEXTS: readonly string[] = [
  "",
  "a",
  "hello",
  "Why is the sky blue?",
  "The quick brown fox jumps over the lazy dog.",
  "  leading, double  and trailing spaces  ",
  "line one\nline two\r\n\ttabbed line three",
  "Der Fluß führt Hochwasser; die Brücke bleibt bis Montag gesperrt.",
  "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.",
  "東京の天気は晴れです。明日は雨が降るでしょう。",
  "Съешь ещё этих мягких французских булок, да выпей чаю.",
  "مرحبا بالعالم، كيف حالك اليوم؟",
  "🦙 llamas 🚀 and 👩‍👩‍👧 emoji ✅",
  "for (let i = 0; i < n; i++) { total += values[i] ** 2; } // sum of squares",
  "3.14159 2,718 1e-9 0xDEADBEEF 1314151 100%",
  "ACCOUNTING accounting AcCoUnTiNg",
  "buffalo ".repeat(24).trim(),
  Array.from(
    { length: 8 },
    (_, i) => `Paragraph ${i} says that storage row ${i * 37} was moved to shelf ${i % 5}.`,
  ).join(" "),
];
