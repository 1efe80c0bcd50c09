#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace inlay {

AddedTokens::AddedTokens(const Vocabulary& vocabulary) {
  std::vector<Trie::Entry> defined;
  std::vector<Trie::Entry> both;
  for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
    const std::string_view text = vocabulary.tokens[id];
    if (text.empty()) continue;
    const auto first = static_cast<uint8_t>(text[0]);
    switch (vocabulary.types[id]) {
      case TokenType::user_defined:
        defined.push_back({text, static_cast<int32_t>(id)});
        begins[0][first] = true;
        [[fallthrough]];
      case TokenType::control:
      case TokenType::unknown:
        both.push_back({text, static_cast<int32_t>(id)});
        begins[1][first] = true;
        break;
      default:
        break;
    }
  }
  user_defined = Trie(defined);
  all = Trie(both);
}

void AddedTokens::strip_before(std::string_view text) {
  const auto [length, id] = all.longest_prefix(text);
  if (length > 0 && length == text.size()) stripping.push_back(id);
}

std::string_view AddedTokens::text_before(std::string_view text, int32_t id) const {
  if (std::find(stripping.begin(), stripping.end(), id) == stripping.end()) return text;
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) start--;
    const char* p = text.data() + start;
    if (!unicode::properties(utf8::next(p)).is_space()) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

}  // namespace inlay
