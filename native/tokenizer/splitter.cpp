#include "tokenizer/splitter.h"

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace inlay {

namespace {

enum class Class { end, letter, number, space, newline, other };

// One code point of the text and what stands behind it.
struct Cursor {
  const char* p;
  const char* end;

  Class classify(const char*& after) const {
    after = p;
    if (p == end) return Class::end;
    const char32_t c = utf8::next(after);
    if (c == '\r' || c == '\n') return Class::newline;
    const unicode::Properties properties = unicode::properties(c);
    if (properties.in(unicode::letters)) return Class::letter;
    if (properties.is_space()) return Class::space;
    if (properties.in(unicode::numbers)) return Class::number;
    return Class::other;
  }

  // Moves behind the longest run of one class.
  void skip(Class wanted) {
    const char* after;
    while (classify(after) == wanted) p = after;
  }
};

// Bytes of the contraction at p, which holds an apostrophe: 's 't 'm 'd 're 've 'll. Ignoring case
// as Unicode folds it, U+017F is an s.
size_t contraction(const char* p, const char* end, bool ignore_case) {
  const auto letter = [&](size_t i) {
    if (p + i >= end) return '\0';
    const char c = p[i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(1);
  const char second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
      (first == 'l' && second == 'l'))
    return 3;
  if (ignore_case && first == '\xC5' && second == '\xBF') return 3;
  return 0;
}

// White space before which no other alternative matched: all of it at the end of the text, else all
// but the last character, which the next word takes, but never nothing.
const char* end_of_space(Cursor at) {
  const char* last = at.p;
  const char* after;
  const char* const begin = at.p;
  Class kind;
  while ((kind = at.classify(after)) == Class::space || kind == Class::newline) {
    last = at.p;
    at.p = after;
  }
  return kind == Class::end || last == begin ? at.p : last;
}

const char* end_of_gpt2_word(std::string_view text) {
  Cursor at{text.data(), text.data() + text.size()};
  if (*at.p == '\'') {
    if (const size_t length = contraction(at.p, at.end, false)) return at.p + length;
  }
  const char* const begin = at.p;
  const char* after;
  Class kind = at.classify(after);
  if (*begin == ' ') {
    at.p = after;
    kind = at.classify(after);
  }
  if (kind == Class::letter || kind == Class::number || kind == Class::other) {
    at.skip(kind);
    return at.p;
  }
  return end_of_space({begin, at.end});
}

const char* end_of_qwen2_word(std::string_view text, int max_digits) {
  Cursor at{text.data(), text.data() + text.size()};
  const char* const begin = at.p;
  if (*begin == '\'') {
    if (const size_t length = contraction(begin, at.end, true)) return begin + length;
  }
  const char* after;
  const Class kind = at.classify(after);
  if (kind == Class::number) {
    for (int digits = 0; digits < max_digits && at.classify(after) == Class::number; digits++)
      at.p = after;
    return at.p;
  }
  Class next = kind;
  if (kind == Class::space || kind == Class::other) {
    const char* behind;
    next = Cursor{after, at.end}.classify(behind);
  }
  if (next == Class::letter) {
    at.p = after;
    at.skip(Class::letter);
    return at.p;
  }
  if (kind == Class::other || (*begin == ' ' && next == Class::other)) {
    at.p = after;
    at.skip(Class::other);
    at.skip(Class::newline);
    return at.p;
  }
  // \s*[\r\n]+ reaches to the last line break of the white space.
  const char* last_break = nullptr;
  Cursor space = at;
  Class seen;
  while ((seen = space.classify(after)) == Class::space || seen == Class::newline) {
    space.p = after;
    if (seen == Class::newline) last_break = after;
  }
  return last_break ? last_break : end_of_space(at);
}

}  // namespace

size_t word_length(std::string_view text, Split split) {
  const int max_digits = split == Split::llama3 ? 3 : 1;
  const char* end =
      split == Split::gpt2 ? end_of_gpt2_word(text) : end_of_qwen2_word(text, max_digits);
  return static_cast<size_t>(end - text.data());
}

}  // namespace inlay
