#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "gguf/hash.h"

namespace inlay::gguf {

// From a token's text to its id, for vocabularies of up to 2^20 tokens: open addressing, at most half full. A slot
// keeps some of the hash beside the id, so that a probe seldom touches another token's text. The list it was built
// from must outlive it.
class TokenIndex {
 public:
  explicit TokenIndex(const std::vector<std::string_view>& tokens) : tokens(tokens) {
    size_t capacity = 16;
    while (capacity < tokens.size() * 2) capacity *= 2;
    slots.assign(capacity, {empty, 0});
    for (size_t i = 0; i < tokens.size(); i++) {
      const size_t hash = KeyedHash()(tokens[i]);
      Slot& slot = slots[find_slot(tokens[i], hash)];
      if (slot.id == empty) {
        slot = {static_cast<uint32_t>(i), tag_of(hash)};
      } else if (repeated < 0) {
        repeated = static_cast<int64_t>(i);
      }
    }
  }

  // The id, or -1. The first one's where a text occurs twice.
  int64_t find(std::string_view text) const {
    const uint32_t id = slots[find_slot(text, KeyedHash()(text))].id;
    return id == empty ? -1 : static_cast<int64_t>(id);
  }

  // The first token whose text occurred before it, or -1.
  int64_t first_repeated() const { return repeated; }

 private:
  struct Slot {
    uint32_t id;
    uint32_t tag;
  };

  static constexpr uint32_t empty = 0xFFFFFFFFu;

  static uint32_t tag_of(size_t hash) { return static_cast<uint32_t>(hash >> (sizeof(size_t) * 4)); }

  size_t find_slot(std::string_view text, size_t hash) const {
    const size_t mask = slots.size() - 1;
    const uint32_t tag = tag_of(hash);
    size_t at = hash & mask;
    while (slots[at].id != empty && (slots[at].tag != tag || tokens[slots[at].id] != text)) at = (at + 1) & mask;
    return at;
  }

  const std::vector<std::string_view>& tokens;
  std::vector<Slot> slots;
  int64_t repeated = -1;
};

}  // namespace inlay::gguf
