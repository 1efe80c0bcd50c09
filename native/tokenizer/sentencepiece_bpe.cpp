#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "gguf/rules.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/kinds.h"
#include "tokenizer/pair_merges.h"
#include "tokenizer/scratch.h"
#include "tokenizer/text_index.h"
#include "tokenizer/utf8.h"

namespace inlay {

namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581 stands for a space

// SentencePiece's BPE (Llama, Gemma): two neighbours merge where their text is a piece, higher
// scores first; characters that are no piece fall back to tokens of their bytes.
class SentencePieceBpe final : public Tokenizer {
 public:
  explicit SentencePieceBpe(const Vocabulary& vocabulary)
      : added(vocabulary), pieces(vocabulary.tokens.size()) {
    unknown = vocabulary.special("unknown_token_id", 0);
    prefix = vocabulary.around("add_bos_token", true, "bos_token_id", 1);
    suffix = vocabulary.around("add_eos_token", false, "eos_token_id", 2);
    add_prefix = vocabulary.flag("add_space_prefix", true);
    byte_ids.fill(Vocabulary::none);
    copy_pieces(vocabulary);
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (vocabulary.types[id] == TokenType::byte)
        add_byte(vocabulary.tokens[id], static_cast<int32_t>(id));
    }
    if (unknown == Vocabulary::none && !has_all_bytes()) {
      throw gguf::broken("TOKENIZER_SPECIAL",
                         "tokenizer.ggml.unknown_token_id: needed where byte tokens are missing");
    }
  }

  void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    thread_local std::string buffers[2];
    const Scratch repaired(buffers[0]);
    const Scratch escaped(buffers[1]);
    bool prefixed = add_prefix;
    added.split(
        utf8::well_formed(text, *repaired), parse_special,
        [&](std::string_view part) {
          escape(part, prefixed, *escaped);
          encode_escaped(*escaped, ids);
          prefixed = false;
        },
        [&](int32_t id) {
          ids.push_back(id);
          prefixed = add_prefix;
        });
  }

 private:
  void copy_pieces(const Vocabulary& vocabulary) {
    size_t bytes = 0;
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (vocabulary.is_piece(id)) bytes += vocabulary.tokens[id].size();
    }
    texts.reserve(bytes);  // `pieces` views it
    priorities.assign(vocabulary.tokens.size(), 0);
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (!vocabulary.is_piece(id)) continue;
      const std::string_view text = vocabulary.tokens[id];
      const size_t begin = texts.size();
      texts += text;
      pieces.insert(std::string_view(texts).substr(begin), static_cast<int32_t>(id));
      priorities[id] = priority(vocabulary.scores[id]);
      if (text.size() > longest) longest = text.size();
      if (chunk_length(text) < text.size()) reaches_over = true;
    }
    powers.assign(longest + 1, 1);
    for (size_t i = 1; i <= longest; i++) powers[i] = powers[i - 1] * TextHash::base;
  }

  // Floats by their bits in an order that puts the highest first.
  static uint32_t priority(float score) {
    score += 0.0f;  // -0 and 0 are the same score
    uint32_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~(bits | 0x80000000u);
  }

  void add_byte(std::string_view text, int32_t id) {
    const auto digit = [](char c) {
      const size_t at = std::string_view("0123456789ABCDEFabcdef").find(c);
      return at == std::string_view::npos ? -1 : static_cast<int>(at < 16 ? at : at - 6);
    };
    if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return;
    const int high = digit(text[3]);
    const int low = digit(text[4]);
    if (high >= 0 && low >= 0) byte_ids[static_cast<size_t>(high * 16 + low)] = id;
  }

  bool has_all_bytes() const {
    for (const int32_t id : byte_ids) {
      if (id == Vocabulary::none) return false;
    }
    return true;
  }

  static void escape(std::string_view text, bool prefixed, std::string& out) {
    out.clear();
    if (prefixed) out += space_mark;
    for (const char c : text) {
      if (c == ' ') {
        out += space_mark;
      } else {
        out += c;
      }
    }
  }

  void encode_escaped(std::string_view text, std::vector<int32_t>& ids) const {
    while (!text.empty()) {
      const size_t end = reaches_over ? text.size() : chunk_length(text);
      encode_chunk(text.substr(0, end), ids);
      text.remove_prefix(end);
    }
  }

  // Spaces and what follows up to the next space: no piece reaches over its end.
  static size_t chunk_length(std::string_view text) {
    size_t at = 0;
    while (text.compare(at, space_mark.size(), space_mark) == 0) at += space_mark.size();
    return std::min(text.find(space_mark, at), text.size());
  }

  void encode_chunk(std::string_view text, std::vector<int32_t>& ids) const {
    thread_local std::vector<Symbol> symbol_buffer;
    thread_local std::vector<uint64_t> hash_buffer;
    const Scratch symbols(symbol_buffer);
    const Scratch scratch(hash_buffer);
    std::vector<uint64_t>& hashes = *scratch;  // of each prefix of the text
    hashes.resize(text.size() + 1);
    hashes[0] = 0;
    for (size_t i = 0; i < text.size(); i++) hashes[i + 1] = TextHash::extend(hashes[i], text[i]);

    const auto find = [&](uint32_t begin, uint32_t end) {
      const size_t length = end - begin;
      if (length > longest) return TextIndex::none;
      return pieces.find(text.substr(begin, length), hashes[end] - hashes[begin] * powers[length]);
    };
    for (size_t at = 0; at < text.size();) {
      const auto begin = static_cast<uint32_t>(at);
      at += utf8::length(text[at]);
      const auto end = static_cast<uint32_t>(at);
      symbols->push_back({begin, end, find(begin, end)});
    }
    const auto merge = [&](const Symbol& left, const Symbol& right) -> PairMerge {
      const int32_t id = find(left.begin, right.end);
      if (id == TextIndex::none) return {0, Symbol::no_token};
      return {priorities[static_cast<size_t>(id)], id};
    };
    PairMerger::of_this_thread().merge(*symbols, merge);
    for (const Symbol& symbol : *symbols) {
      if (symbol.id != Symbol::no_token) {
        ids.push_back(symbol.id);
      } else {
        push_bytes(text.substr(symbol.begin, symbol.end - symbol.begin), ids);
      }
    }
  }

  // A character that is no piece: its bytes, or where one of them has no token, the unknown token.
  void push_bytes(std::string_view character, std::vector<int32_t>& ids) const {
    const size_t before = ids.size();
    for (const char c : character) {
      const int32_t id = byte_ids[static_cast<uint8_t>(c)];
      if (id == Vocabulary::none) {
        ids.resize(before);
        if (ids.empty() || ids.back() != unknown) ids.push_back(unknown);
        return;
      }
      ids.push_back(id);
    }
  }

  AddedTokens added;
  std::string texts;
  TextIndex pieces;
  std::vector<uint32_t> priorities;  // per token
  std::vector<uint64_t> powers;      // of TextHash::base
  size_t longest = 0;                // bytes of a piece
  bool reaches_over = false;         // some piece has a space behind something else
  std::array<int32_t, 256> byte_ids;
  int32_t unknown;
  bool add_prefix;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_bpe(const Vocabulary& vocabulary) {
  return std::make_unique<SentencePieceBpe>(vocabulary);
}

}  // namespace inlay
