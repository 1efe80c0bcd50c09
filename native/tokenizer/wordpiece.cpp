#include <algorithm>
#include <array>
#include <string>

#include "gguf/rules.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/kinds.h"
#include "tokenizer/scratch.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace inlay {

namespace {

// GGUF marks the pieces that begin a word with U+2581; those that continue one stand bare, without
// BERT's "##".
constexpr std::string_view word_mark = "\xE2\x96\x81";

constexpr size_t max_word_chars = 100;  // BERT's max_input_chars_per_word: longer words are unknown

enum class Ascii : uint8_t { dropped, space, punctuation, letter };

constexpr std::array<Ascii, 128> ascii_kinds() {
  std::array<Ascii, 128> kinds{};
  for (int c = 0; c < 128; c++) {
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    const bool control = c < 32 || c == 127;
    kinds[static_cast<size_t>(c)] = space          ? Ascii::space
                                    : control      ? Ascii::dropped
                                    : alphanumeric ? Ascii::letter
                                                   : Ascii::punctuation;
  }
  return kinds;
}
constexpr std::array<Ascii, 128> ascii = ascii_kinds();

constexpr uint32_t cleaned_away = 1u << unicode::Cc | 1u << unicode::Cf | 1u << unicode::Co;

// WordPiece over BERT's own normalisation: BertNormalizer and BertPreTokenizer of Hugging Face
// tokenizers.
class WordPiece final : public Tokenizer {
 public:
  explicit WordPiece(const Vocabulary& vocabulary) : added(vocabulary) {
    unknown = vocabulary.special("unknown_token_id", 100);
    const int32_t cls = vocabulary.special("bos_token_id", vocabulary.special("cls_token_id", 101));
    const int32_t sep = vocabulary.special("seperator_token_id", 102);
    if (unknown < 0 || cls < 0 || sep < 0) {
      throw gguf::broken(
          "TOKENIZER_SPECIAL",
          "tokenizer.ggml: a BERT vocabulary needs the ids of its [UNK], [CLS] and [SEP] tokens");
    }
    prefix = {cls};
    suffix = {sep};
    lowercase = vocabulary.flag("normalizer.lowercase", true);
    strip_accents = vocabulary.flag("normalizer.strip_accents", lowercase);

    std::vector<Trie::Entry> first;
    std::vector<Trie::Entry> rest;
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (!vocabulary.is_piece(id)) continue;
      const std::string_view text = vocabulary.tokens[id];
      const bool initial =
          text.size() > word_mark.size() && text.substr(0, word_mark.size()) == word_mark;
      (initial ? first : rest)
          .push_back({initial ? text.substr(word_mark.size()) : text, static_cast<int32_t>(id)});
    }
    has_initials = !first.empty();
    initials = Trie(first);
    continuations = Trie(rest);
  }

  void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    thread_local std::string buffer;
    const Scratch repaired(buffer);
    added.split(
        utf8::well_formed(text, *repaired), parse_special,
        [&](std::string_view part) { Words(*this, ids).encode(part); },
        [&](int32_t id) { ids.push_back(id); });
  }

  bool has_initials = false;

 private:
  // Normalises one stretch of text and cuts it into words.
  class Words {
   public:
    Words(const WordPiece& model, std::vector<int32_t>& ids) : model(model), ids(ids) {}

    void encode(std::string_view text) {
      const char* p = text.data();
      const char* const end = p + text.size();
      while (p < end) {
        if (static_cast<uint8_t>(*p) < 0x80) {
          take_ascii(*p++);
        } else {
          take(utf8::next(p));
        }
      }
      finish_word();
    }

   private:
    void take_ascii(char c) {
      switch (ascii[static_cast<size_t>(c)]) {
        case Ascii::dropped:
          return;
        case Ascii::space:
          finish_word();
          return;
        case Ascii::punctuation:
          finish_word();
          append_ascii(c);
          finish_word();
          return;
        case Ascii::letter:
          if (!pending.empty()) release_marks();
          append_ascii(model.lowercase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
          return;
      }
    }

    void take(char32_t c) {
      const unicode::Properties properties = unicode::properties(c);
      if (c == utf8::replacement || properties.in(cleaned_away)) return;
      if (properties.is_space()) {
        finish_word();
        return;
      }
      const bool ideograph = unicode::is_bert_ideograph(c);
      if (ideograph) finish_word();
      if (!model.strip_accents) {
        take_normal(c);
      } else if (!properties.may_change_in_nfd()) {
        if (!pending.empty()) release_marks();
        if (properties.category() != unicode::Mn) take_normal(c);
      } else {
        char32_t parts[4];
        const int n = unicode::decompose(c, parts);
        for (int i = 0; i < n; i++) take_decomposed(parts[i]);
      }
      if (ideograph) finish_word();
    }

    // Nonspacing marks go; the others of a run of marks are put in canonical order.
    void take_decomposed(char32_t c) {
      const uint8_t rank = unicode::combining_rank(c);
      if (rank == 0) release_marks();
      if (unicode::properties(c).category() == unicode::Mn) return;
      if (rank == 0) {
        take_normal(c);
      } else {
        pending.emplace_back(rank, c);
      }
    }

    void release_marks() {
      std::stable_sort(pending.begin(), pending.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
      for (const auto& [rank, c] : pending) take_normal(c);
      pending.clear();
    }

    void take_normal(char32_t c) {
      if (model.lowercase) {
        if (c == 0x130) {
          append('i');
          c = 0x307;
        } else {
          c = unicode::to_lower(c);
        }
      }
      const bool punctuation = c < 0x80 ? ascii[c] == Ascii::punctuation
                                        : unicode::properties(c).in(unicode::punctuation);
      if (punctuation) finish_letters();
      append(c);
      if (punctuation) finish_letters();
    }

    void append(char32_t c) {
      if (++chars <= max_word_chars) utf8::append(word, c);
    }

    void append_ascii(char c) {
      if (++chars <= max_word_chars) word += c;
    }

    void finish_word() {
      if (!pending.empty()) release_marks();
      finish_letters();
    }

    void finish_letters() {
      if (chars == 0) return;
      if (chars > max_word_chars || !model.match(word, ids)) ids.push_back(model.unknown);
      word.clear();
      chars = 0;
    }

    const WordPiece& model;
    std::vector<int32_t>& ids;
    std::string word;  // the first 100 characters of it
    size_t chars = 0;
    std::vector<std::pair<uint8_t, char32_t>>
        pending;  // marks after the last starter: rank, code point
  };

  // Appends the pieces of a word, at each place the longest; nothing, and false, where one cannot
  // be found.
  bool match(std::string_view word, std::vector<int32_t>& ids) const {
    const size_t before = ids.size();
    const Trie* trie = &initials;
    for (size_t at = 0; at < word.size();) {
      const auto [length, piece] = trie->longest_prefix(word.substr(at));
      if (length == 0) {
        ids.resize(before);
        return false;
      }
      ids.push_back(piece);
      at += length;
      trie = &continuations;
    }
    return true;
  }

  AddedTokens added;
  Trie initials;
  Trie continuations;
  int32_t unknown;
  bool lowercase;
  bool strip_accents;
};

}  // namespace

std::unique_ptr<Tokenizer> make_wordpiece(const Vocabulary& vocabulary) {
  auto tokenizer = std::make_unique<WordPiece>(vocabulary);
  if (!tokenizer->has_initials) return nullptr;
  return tokenizer;
}

}  // namespace inlay
