#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace inlay {

AddedTokens::AddedTokens(const Vocabulary& vocabulary) {
  for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
    const std::string_view text = vocabulary.tokens[id];
    if (text.empty()) continue;
    const auto first = static_cast<uint8_t>(text[0]);
    switch (vocabulary.types[id]) {
      case TokenType::user_defined:
        user_defined.insert(text, static_cast<int32_t>(id));
        begins[0][first] = true;
        [[fallthrough]];
      case TokenType::control:
      case TokenType::unknown:
        all.insert(text, static_cast<int32_t>(id));
        begins[1][first] = true;
        break;
      default:
        break;
    }
  }
}

void AddedTokens::strip_before(std::string_view text) {
  const auto [id, length] = text.empty() ? std::pair<int32_t, size_t>() : longest(all, text, 0);
  if (length == text.size() && length > 0) stripping.push_back(id);
}

std::pair<int32_t, size_t> AddedTokens::longest(const Trie& trie, std::string_view text, size_t at) {
  std::pair<int32_t, size_t> best{0, 0};
  uint32_t node = Trie::root;
  for (size_t i = at; i < text.size(); i++) {
    node = trie.child(node, static_cast<uint8_t>(text[i]));
    if (node == Trie::none) break;
    if (trie.value(node) != Trie::no_value) best = {trie.value(node), i + 1 - at};
  }
  return best;
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
