#include <algorithm>
#include <array>
#include <string>

#include "gguf/rules.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/kinds.h"
#include "tokenizer/pair_merges.h"
#include "tokenizer/scratch.h"
#include "tokenizer/splitter.h"
#include "tokenizer/text_index.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace inlay {

namespace {

// What tokenizer.ggml.pre stands for in the model's own tokenizer.
struct Rules {
  std::string_view pre;
  Split split;
  bool nfc;          // the text is composed first
  bool whole_words;  // a word that is a token is that token, whatever the merges say
  bool add_bos;      // where the file does not tell
  AddedTokens::Order order;
  std::string_view strip_before;  // the token before which white space is dropped
};

constexpr auto together = AddedTokens::Order::together;
constexpr auto control_first = AddedTokens::Order::control_first;

constexpr Rules known[] = {
    {"gpt-2", Split::gpt2, false, false, false, together, ""},
    {"roberta-bpe", Split::gpt2, false, false, false, together, "<mask>"},
    {"modern-bert", Split::gpt2, true, false, false, control_first, "[MASK]"},
    {"mpt", Split::gpt2, true, false, false, control_first, ""},
    {"olmo", Split::gpt2, true, false, false, control_first, ""},
    {"qwen2", Split::qwen2, true, false, false, together, ""},
    {"llama-bpe", Split::llama3, false, true, true, together, ""},
};

// GPT-2 writes each byte as one printable character: those of Latin-1 as they are, the others from
// U+0100 on.
std::array<std::string, 256> byte_texts() {
  std::array<std::string, 256> texts;
  char32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; byte++) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    utf8::append(texts[byte], printable ? byte : next++);
  }
  return texts;
}

// From a pair of tokens to what they become.
class PairTable {
 public:
  explicit PairTable(size_t expected) {
    size_t size = 16;
    while (size < 2 * expected) size *= 2;
    slots.resize(size);
    mask = size - 1;
  }

  // A later merge of the same pair takes the place of an earlier one.
  void insert(int32_t left, int32_t right, PairMerge merge) {
    size_t i = start(left, right);
    while (slots[i].merge.id != Symbol::no_token &&
           !(slots[i].left == left && slots[i].right == right)) {
      i = (i + 1) & mask;
    }
    slots[i] = {left, right, merge};
  }

  PairMerge find(int32_t left, int32_t right) const {
    for (size_t i = start(left, right);; i = (i + 1) & mask) {
      const Slot& slot = slots[i];
      if (slot.merge.id == Symbol::no_token || (slot.left == left && slot.right == right))
        return slot.merge;
    }
  }

 private:
  struct Slot {
    int32_t left = 0;
    int32_t right = 0;
    PairMerge merge{0, Symbol::no_token};
  };

  size_t start(int32_t left, int32_t right) const {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
    const uint64_t mixed = key * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>((mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93u >> 32) & mask;
  }

  std::vector<Slot> slots;  // a power of two of them, at most half of them taken
  size_t mask;
};

// Byte-level BPE as Hugging Face tokenizers runs it: NFC where the model has it, words by a fixed
// pattern, merges by rank inside each word.
class ByteBpe final : public Tokenizer {
 public:
  ByteBpe(const Vocabulary& vocabulary, const Rules& rules)
      : added(vocabulary, rules.order),
        rules(rules),
        merges(vocabulary.file.strings("tokenizer.ggml.merges").size()),
        words(0) {
    added.strip_before(rules.strip_before);
    prefix = vocabulary.around("add_bos_token", rules.add_bos, "bos_token_id", Vocabulary::none);
    suffix = vocabulary.around("add_eos_token", false, "eos_token_id", Vocabulary::none);

    TextIndex index(vocabulary.tokens.size());
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (vocabulary.is_piece(id)) index.insert(vocabulary.tokens[id], static_cast<int32_t>(id));
    }
    const std::array<std::string, 256> texts = byte_texts();
    for (size_t byte = 0; byte < 256; byte++) byte_ids[byte] = index.find(texts[byte]);
    read_merges(vocabulary, index);
    if (rules.whole_words) keep_words(vocabulary, texts);
  }

  void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    thread_local std::string buffer;
    const Scratch repaired(buffer);
    added.split(
        utf8::well_formed(text, *repaired), parse_special,
        [&](std::string_view part) { encode_part(part, ids); },
        [&](int32_t id) { ids.push_back(id); });
  }

  bool complete = true;  // false: a merge names tokens that the vocabulary does not have

 private:
  void read_merges(const Vocabulary& vocabulary, const TextIndex& index) {
    uint32_t rank = 0;
    for (const std::string_view text : vocabulary.file.strings("tokenizer.ggml.merges")) {
      const size_t space = text.find(' ', 1);
      if (space == std::string_view::npos) {
        throw gguf::broken(
            "TOKENIZER_MERGES",
            "tokenizer.ggml.merges: expected two texts with a space between, found " +
                gguf::printable(text));
      }
      const std::string_view left = text.substr(0, space);
      const std::string_view right = text.substr(space + 1);
      const uint64_t left_hash = TextHash::of(left);
      const int32_t left_id = index.find(left, left_hash);
      const int32_t right_id = index.find(right);
      const int32_t merged =
          index.find(TextHash::of(right, left_hash), [&](std::string_view candidate) {
            return candidate.size() == left.size() + right.size() &&
                   candidate.substr(0, left.size()) == left &&
                   candidate.substr(left.size()) == right;
          });
      if (left_id == TextIndex::none || right_id == TextIndex::none || merged == TextIndex::none) {
        complete = false;
        return;
      }
      merges.insert(left_id, right_id, {rank++, merged});
    }
  }

  // Fills `words` with the bytes that tokens stand for.
  void keep_words(const Vocabulary& vocabulary, const std::array<std::string, 256>& texts) {
    std::array<int, 0x180> byte_of;
    byte_of.fill(-1);
    for (size_t byte = 0; byte < 256; byte++) {
      const char* p = texts[byte].data();
      byte_of[utf8::next(p)] = static_cast<int>(byte);
    }
    std::vector<std::pair<size_t, int32_t>> ends;
    for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
      if (!vocabulary.is_piece(id)) continue;
      const size_t begin = word_bytes.size();
      bool all_bytes = true;
      const std::string_view text = vocabulary.tokens[id];
      for (const char* p = text.data(); p < text.data() + text.size();) {
        const char32_t c = utf8::next(p);
        const int byte = c < byte_of.size() ? byte_of[c] : -1;
        all_bytes &= byte >= 0;
        word_bytes += static_cast<char>(byte);
      }
      if (all_bytes) {
        ends.emplace_back(word_bytes.size(), static_cast<int32_t>(id));
      } else {
        word_bytes.resize(begin);
      }
    }
    words = TextIndex(ends.size());
    size_t begin = 0;
    for (const auto& [end, id] : ends) {
      words.insert(std::string_view(word_bytes).substr(begin, end - begin), id);
      begin = end;
    }
  }

  void encode_part(std::string_view text, std::vector<int32_t>& ids) const {
    thread_local std::string buffer;
    const Scratch composed(buffer);
    if (rules.nfc) text = unicode::to_nfc(text, *composed);
    while (!text.empty()) {
      const size_t length = word_length(text, rules.split);
      encode_word(text.substr(0, length), ids);
      text.remove_prefix(length);
    }
  }

  void encode_word(std::string_view word, std::vector<int32_t>& ids) const {
    if (rules.whole_words) {
      const int32_t id = words.find(word);
      if (id != TextIndex::none) {
        ids.push_back(id);
        return;
      }
    }
    thread_local std::vector<Symbol> buffer;
    const Scratch symbols(buffer);
    uint32_t at = 0;
    for (const char c : word) {
      const int32_t id = byte_ids[static_cast<uint8_t>(c)];
      if (id == TextIndex::none) continue;
      symbols->push_back({at, at + 1, id});
      at++;
    }
    PairMerger::of_this_thread().merge(*symbols, [&](const Symbol& left, const Symbol& right) {
      return merges.find(left.id, right.id);
    });
    for (const Symbol& symbol : *symbols) ids.push_back(symbol.id);
  }

  AddedTokens added;
  const Rules& rules;
  std::array<int32_t, 256> byte_ids;
  PairTable merges;
  std::string word_bytes;
  TextIndex words;  // views of word_bytes
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_bpe(const Vocabulary& vocabulary) {
  const auto rules = std::find_if(std::begin(known), std::end(known), [&](const Rules& candidate) {
    return candidate.pre == vocabulary.pre;
  });
  if (rules == std::end(known)) return nullptr;
  auto tokenizer = std::make_unique<ByteBpe>(vocabulary, *rules);
  if (!tokenizer->complete) return nullptr;
  return tokenizer;
}

}  // namespace inlay
