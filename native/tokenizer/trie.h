#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace inlay {

// Byte trie over token texts: all those that a text begins with are found in one walk. The children
// of a node lie side by side in the order of their labels; the rest of a text that shares no
// further byte with another is kept as the tail of its node.
class Trie {
 public:
  struct Entry {
    std::string_view text;  // at least one byte, fewer than 2^16; read by the constructor only
    int32_t value;          // not negative
  };

  Trie() : Trie(std::vector<Entry>()) {}

  // Of entries with the same text the last one counts. Linear in the bytes of all texts.
  explicit Trie(const std::vector<Entry>& entries);

  // Calls on_match(length, value) for each entry that `text` begins with, the shortest first.
  template <typename OnMatch>
  void each_prefix(std::string_view text, OnMatch&& on_match) const {
    if (text.empty()) return;
    uint32_t at = first_child[static_cast<uint8_t>(text[0])];
    for (size_t length = 1; at != none; length++) {
      const Node& node = nodes[at];
      if (node.tail > 0) {
        const bool matches =
            text.size() - length >= node.tail &&
            std::memcmp(tails.data() + node.first, text.data() + length, node.tail) == 0;
        if (matches) on_match(length + node.tail, node.value);
        return;
      }
      if (node.value >= 0) on_match(length, node.value);
      if (length == text.size()) return;
      at = child(node, static_cast<uint8_t>(text[length]));
    }
  }

  // Length and value of the longest entry that `text` begins with; length 0 where there is none.
  std::pair<size_t, int32_t> longest_prefix(std::string_view text) const {
    std::pair<size_t, int32_t> longest{0, -1};
    each_prefix(text, [&](size_t length, int32_t value) { longest = {length, value}; });
    return longest;
  }

 private:
  static constexpr uint32_t none = 0;  // the root, which is no node's child

  struct Node {
    uint32_t first = 0;     // its first child, or where its tail begins
    int32_t value = -1;     // of the text that ends here, or behind the tail
    uint16_t children = 0;  // at most 256
    uint16_t tail = 0;      // bytes
  };

  uint32_t child(const Node& node, uint8_t label) const {
    const uint8_t* const begin = labels.data() + node.first;
    size_t low = 0;
    size_t count = node.children;
    while (count > 8) {
      const size_t half = count / 2;
      if (begin[low + half] <= label) low += half;
      count -= half;
    }
    for (size_t i = low; i < low + count; i++) {
      if (begin[i] == label) return node.first + static_cast<uint32_t>(i);
    }
    return none;
  }

  std::vector<Node> nodes;      // the root is the first
  std::vector<uint8_t> labels;  // of the edge to each node
  std::string tails;
  std::array<uint32_t, 256> first_child{};  // the root's, by label
};

}  // namespace inlay
