#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "gguf/rules.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/kinds.h"
#include "tokenizer/scratch.h"
#include "tokenizer/trie.h"
#include "tokenizer/utf8.h"

namespace inlay {

namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581 stands for a space
constexpr double unknown_penalty = 10.0;                 // SentencePiece's kUnkPenalty

// The unigram model of SentencePiece: normalisation by its charsmap, then the most likely pieces
// (Viterbi). Scores are summed in double and word by word as in Hugging Face tokenizers, so that
// the length of a text cannot tip a tie.
class Unigram final : public Tokenizer {
 public:
  explicit Unigram(const Vocabulary& vocabulary) : added(vocabulary), scores(vocabulary.scores) {
    unknown = vocabulary.special("unknown_token_id", 2);
    if (unknown == Vocabulary::none) {
      throw gguf::broken("TOKENIZER_SPECIAL",
                         "tokenizer.ggml.unknown_token_id: a unigram vocabulary needs it");
    }
    prefix = vocabulary.around("add_bos_token", false, "bos_token_id", Vocabulary::none);
    suffix = vocabulary.around("add_eos_token", true, "eos_token_id", 1);
    add_prefix = vocabulary.flag("add_space_prefix", true);
    merge_spaces = vocabulary.flag("remove_extra_whitespaces", false);
    if (const gguf::Value* stored = vocabulary.file.find("tokenizer.ggml.precompiled_charsmap")) {
      charsmap = Charsmap(*stored);
    }

    std::vector<Trie::Entry> entries;
    double lowest = std::numeric_limits<double>::max();
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (!vocabulary.is_piece(id)) continue;
      const std::string_view piece = vocabulary.tokens[id];
      entries.push_back({piece, static_cast<int32_t>(id)});
      lowest = std::min<double>(lowest, scores[id]);
      if (piece.find(space_mark, 1) != std::string_view::npos) word_by_word = false;
    }
    pieces = Trie(entries);
    unknown_score = (entries.empty() ? 0 : lowest) - unknown_penalty;
  }

  void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    thread_local std::string buffers[2];
    const Scratch repaired(buffers[0]);
    const Scratch normal(buffers[1]);
    added.split(
        utf8::well_formed(text, *repaired), parse_special,
        [&](std::string_view part) {
          normalize(part, *normal);
          encode_normal(*normal, ids);
        },
        [&](int32_t id) { ids.push_back(id); });
  }

 private:
  // The best way to cut the text before some place: where its last piece begins, and that piece.
  struct Step {
    double score;
    uint32_t begin;
    int32_t id;
  };
  static constexpr double unreached = -std::numeric_limits<double>::infinity();

  // Follows SentencePiece's Normalizer: spaces become U+2581, one is set before the text, and where
  // the model says so runs of them count as one and those at the ends do not count.
  void normalize(std::string_view text, std::string& out) const {
    out.clear();
    if (add_prefix) out += space_mark;
    bool after_space = merge_spaces;
    const auto take = [&](char c) {
      if (c != ' ') {
        out += c;
        after_space = false;
      } else if (!after_space) {
        out += space_mark;
        after_space = merge_spaces;
      }
    };
    while (!text.empty()) {
      const auto [replacement, length] = charsmap.replace_prefix(text);
      const size_t taken = length > 0 ? length : utf8::length(text[0]);
      for (const char c : length > 0 ? replacement : text.substr(0, taken)) take(c);
      text.remove_prefix(taken);
    }
    if (merge_spaces) {
      while (out.size() >= space_mark.size() && out.compare(out.size() - 3, 3, space_mark) == 0) {
        out.resize(out.size() - space_mark.size());
      }
    }
  }

  void encode_normal(std::string_view text, std::vector<int32_t>& ids) const {
    while (!text.empty()) {
      const size_t end =
          word_by_word ? std::min(text.find(space_mark, 1), text.size()) : text.size();
      encode_word(text.substr(0, end), ids);
      text.remove_prefix(end);
    }
  }

  void encode_word(std::string_view word, std::vector<int32_t>& ids) const {
    thread_local std::vector<Step> buffer;
    const Scratch scratch(buffer);
    std::vector<Step>& steps = *scratch;
    steps.assign(word.size() + 1, {unreached, 0, unknown});
    steps[0].score = 0;
    for (size_t begin = 0; begin < word.size();) {
      const size_t character = utf8::length(word[begin]);
      const double score = steps[begin].score;
      const auto offer = [&](size_t end, double piece_score, int32_t id) {
        Step& step = steps[end];
        if (score + piece_score > step.score)
          step = {score + piece_score, static_cast<uint32_t>(begin), id};
      };
      bool covered = false;
      pieces.each_prefix(word.substr(begin), [&](size_t length, int32_t id) {
        offer(begin + length, scores[static_cast<size_t>(id)], id);
        covered |= length == character;
      });
      if (!covered) offer(begin + character, unknown_score, unknown);
      begin += character;
    }

    // Neighbouring unknown characters are one unknown token.
    const size_t first = ids.size();
    for (size_t end = word.size(); end > 0; end = steps[end].begin) {
      const int32_t id = steps[end].id;
      if (id != unknown || ids.size() == first || ids.back() != unknown) ids.push_back(id);
    }
    std::reverse(ids.begin() + static_cast<ptrdiff_t>(first), ids.end());
  }

  AddedTokens added;
  std::vector<float> scores;
  Trie pieces;
  Charsmap charsmap;
  int32_t unknown;
  double unknown_score;
  bool add_prefix;
  bool merge_spaces;
  bool word_by_word = true;  // no piece reaches over a space
};

}  // namespace

std::unique_ptr<Tokenizer> make_unigram(const Vocabulary& vocabulary) {
  return std::make_unique<Unigram>(vocabulary);
}

}  // namespace inlay
