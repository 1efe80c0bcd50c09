#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"

namespace inlay {

// The tokens that are found in a text as they stand, before anything else is done to it:
// user-defined ones always, control tokens only where the caller asks for them. At each place the
// longest one counts, from left to right.
class AddedTokens {
 public:
  explicit AddedTokens(const Vocabulary& vocabulary);

  // A token before which white space is dropped, as <mask> of the RoBERTa family.
  void strip_before(std::string_view text);

  // Calls on_text(std::string_view) and on_token(int32_t) in the order of the text; on_text never
  // with nothing.
  template <typename OnText, typename OnToken>
  void split(std::string_view text, bool parse_special, OnText&& on_text,
             OnToken&& on_token) const {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const auto [length, id] = match(text, at, parse_special);
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

 private:
  std::pair<size_t, int32_t> match(std::string_view text, size_t at, bool parse_special) const {
    if (!begins[parse_special][static_cast<uint8_t>(text[at])]) return {0, 0};
    return (parse_special ? all : user_defined).longest_prefix(text.substr(at));
  }
  std::string_view text_before(std::string_view text, int32_t id) const;

  Trie user_defined;
  Trie all;
  // Whether a token begins with this byte, without and with control tokens.
  bool begins[2][256] = {};
  std::vector<int32_t> stripping;
};

}  // namespace inlay
