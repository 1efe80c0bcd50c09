#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"

namespace inlay {

// The tokens that are found in a text as they stand, before anything else is done to it:
// user-defined ones always, control tokens only where the caller asks for them. At each place the
// longest one counts, from left to right.
class AddedTokens {
 public:
  // Which of them are looked for first. Where control tokens are, user-defined ones are found in
  // what is left between them.
  enum class Order { together, control_first };

  explicit AddedTokens(const Vocabulary& vocabulary, Order order = Order::together);

  // A token before which white space is dropped, as <mask> of the RoBERTa family.
  void strip_before(std::string_view text);

  // Calls on_text(std::string_view) and on_token(int32_t) in the order of the text; on_text never
  // with nothing.
  template <typename OnText, typename OnToken>
  void split(std::string_view text, bool parse_special, OnText&& on_text,
             OnToken&& on_token) const {
    const auto find_user_defined = [&](std::string_view part) {
      scan(part, user_defined, on_text, on_token);
    };
    if (!parse_special) {
      find_user_defined(text);
    } else if (order == Order::together) {
      scan(text, special, on_text, on_token);
    } else {
      scan(text, special, find_user_defined, on_token);
    }
  }

 private:
  struct Set {
    Trie trie;
    bool begins[256] = {};  // whether a token begins with this byte
  };

  template <typename OnText, typename OnToken>
  void scan(std::string_view text, const Set& set, OnText&& on_text, OnToken&& on_token) const {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      if (!set.begins[static_cast<uint8_t>(text[at])]) {
        at++;
        continue;
      }
      const auto [length, id] = set.trie.longest_prefix(text.substr(at));
      if (length == 0) {
        at++;
        continue;
      }
      const std::string_view before = text_before(text.substr(begin, at - begin), id);
      if (!before.empty()) on_text(before);
      on_token(id);
      at += length;
      begin = at;
    }
    if (begin < text.size()) on_text(text.substr(begin));
  }

  static Set make_set(const std::vector<Trie::Entry>& entries);
  std::string_view text_before(std::string_view text, int32_t id) const;

  Order order;
  Set user_defined;
  Set special;  // control tokens; where all are looked for together, user-defined ones, too
  std::vector<int32_t> stripping;
};

}  // namespace inlay
