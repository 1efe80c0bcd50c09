#include "tokenizer/charsmap.h"

#include "gguf/rules.h"

namespace inlay {

namespace {

// A unit of Darts-clone: the label of the edge to it with bit 31 (0 for nodes), whether a value
// follows, and the offset of its children. In a value unit, bit 31 is set and the rest is the
// value.
uint32_t label(uint32_t unit) { return unit & 0x800000FF; }
bool has_value(uint32_t unit) { return unit >> 8 & 1; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }

bool inside_character(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80;
}

}  // namespace

Charsmap::Charsmap(const gguf::Value& stored) {
  const bool bytes =
      stored.type == gguf::ValueType::array &&
      (stored.element == gguf::ValueType::u8 || stored.element == gguf::ValueType::i8);
  if (bytes && stored.count == 0) return;
  const auto read = [&](uint64_t at) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
      value |= static_cast<uint32_t>(stored.elements[at + static_cast<uint64_t>(i)]) << 8 * i;
    return value;
  };
  const uint64_t trie_bytes = bytes && stored.count >= 4 ? read(0) : 0;
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || 4 + trie_bytes >= stored.count ||
      stored.elements[stored.count - 1] != 0) {
    throw gguf::broken(
        "TOKENIZER_CHARSMAP",
        "tokenizer.ggml.precompiled_charsmap: expected a trie and texts ended by NUL, found " +
            std::to_string(stored.count) + " bytes whose trie would have " +
            std::to_string(trie_bytes));
  }
  units.resize(trie_bytes / 4);
  for (size_t i = 0; i < units.size(); i++) units[i] = read(4 + 4 * i);
  replacements.assign(reinterpret_cast<const char*>(stored.elements) + 4 + trie_bytes,
                      stored.count - 4 - trie_bytes);
  if (!gguf::is_utf8(replacements)) {
    throw gguf::broken("TOKENIZER_CHARSMAP",
                       "tokenizer.ggml.precompiled_charsmap: its texts are not UTF-8");
  }
}

std::pair<std::string_view, size_t> Charsmap::replace_prefix(std::string_view text) const {
  if (units.empty()) return {{}, 0};
  size_t length = 0;
  uint32_t value = 0;
  uint32_t node = offset(units[0]);
  for (size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units.size() || label(units[node]) != byte) break;
    const uint32_t unit = units[node];
    node ^= offset(unit);
    if (has_value(unit) && node < units.size() && !inside_character(text, i + 1)) {
      length = i + 1;
      value = units[node] & 0x7FFFFFFF;
    }
  }
  if (length == 0 || value >= replacements.size() || inside_character(replacements, value))
    return {{}, 0};
  return {replacements.data() + value, length};
}

}  // namespace inlay
