#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace inlay {

// Byte trie over token texts. Edges stand in one open-addressing table, so that building is linear in the bytes of
// the tokens; sibling edges lie side by side.
class Trie {
 public:
  static constexpr uint32_t root = 0;
  static constexpr uint32_t none = 0;  // no edge leads to the root
  static constexpr int32_t no_value = -1;

  Trie() : slots(1024), mask(1023), values(1, no_value) {}

  void insert(std::string_view text, int32_t value) {
    uint32_t node = root;
    for (const char c : text) node = child_or_new(node, static_cast<uint8_t>(c));
    values[node] = value;
  }

  uint32_t child(uint32_t node, uint8_t byte) const {
    const uint32_t key = node << 8 | byte;
    for (uint32_t i = start(node, byte);; i = (i + 1) & mask) {
      const Slot& slot = slots[i];
      if (slot.key == key && slot.node != none) return slot.node;
      if (slot.node == none) return none;
    }
  }

  int32_t value(uint32_t node) const { return values[node]; }

 private:
  struct Slot {
    uint32_t key = 0;   // parent << 8 | byte
    uint32_t node = none;
  };

  uint32_t start(uint32_t node, uint8_t byte) const {
    return static_cast<uint32_t>((node * 0x9E3779B97F4A7C15u >> 32) + byte) & mask;
  }

  uint32_t child_or_new(uint32_t node, uint8_t byte) {
    if (const uint32_t found = child(node, byte)) return found;
    if (values.size() * 2 > slots.size()) grow();
    const auto created = static_cast<uint32_t>(values.size());
    place({node << 8 | byte, created});
    values.push_back(no_value);
    return created;
  }

  void place(Slot slot) {
    uint32_t i = start(slot.key >> 8, static_cast<uint8_t>(slot.key));
    while (slots[i].node != none) i = (i + 1) & mask;
    slots[i] = slot;
  }

  void grow() {
    std::vector<Slot> old(slots.size() * 2);
    old.swap(slots);
    mask = static_cast<uint32_t>(slots.size() - 1);
    for (const Slot& slot : old) {
      if (slot.node != none) place(slot);
    }
  }

  std::vector<Slot> slots;  // a power of two of them, at most half of them taken
  uint32_t mask;
  std::vector<int32_t> values;  // per node
};

}  // namespace inlay
