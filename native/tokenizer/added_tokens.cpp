#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace inlay {

AddedTokens::AddedTokens(const Vocabulary& vocabulary, Order order) : order(order) {
  std::vector<Trie::Entry> defined;
  std::vector<Trie::Entry> controls;
  for (size_t id = 0; id < vocabulary.tokens.size(); id++) {
    const Trie::Entry entry{vocabulary.tokens[id], static_cast<int32_t>(id)};
    const TokenType type = vocabulary.types[id];
    if (entry.text.empty()) continue;
    const bool is_defined = type == TokenType::user_defined;
    const bool is_control = type == TokenType::control || type == TokenType::unknown;
    if (is_defined) defined.push_back(entry);
    if (is_control || (is_defined && order == Order::together)) controls.push_back(entry);
  }
  user_defined = make_set(defined);
  special = make_set(controls);
}

AddedTokens::Set AddedTokens::make_set(const std::vector<Trie::Entry>& entries) {
  Set set;
  set.trie = Trie(entries);
  for (const Trie::Entry& entry : entries) set.begins[static_cast<uint8_t>(entry.text[0])] = true;
  return set;
}

void AddedTokens::strip_before(std::string_view text) {
  const auto [length, id] = special.trie.longest_prefix(text);
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
