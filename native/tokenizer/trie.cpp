#include "tokenizer/trie.h"

#include <algorithm>
#include <cstddef>

namespace inlay {

namespace {

// An entry on its way down the trie.
struct Key {
  uint64_t head;  // 8 bytes of its text from a depth that is a multiple of 8, the first one highest
  uint32_t size;
  uint32_t entry;
};

// The keys [begin, end) share their first `depth` bytes and belong under `node`.
struct Range {
  uint32_t node;
  uint32_t begin;
  uint32_t end;
  uint32_t depth;
};

uint64_t head_of(std::string_view text, size_t depth) {
  uint64_t head = 0;
  for (size_t i = depth; i < depth + 8; i++)
    head = head << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
  return head;
}

uint8_t byte_at(const Key& key, uint32_t depth) {
  return static_cast<uint8_t>(key.head >> (56 - 8 * (depth % 8)));
}

// Where a key goes at a depth: 0 if it ends there, else 1 + its byte.
uint32_t bucket(const Key& key, uint32_t depth) {
  return key.size == depth ? 0 : 1u + byte_at(key, depth);
}

// Sorts keys by their bucket, those of one bucket staying in order.
class BucketSort {
 public:
  void sort(Key* begin, Key* end, uint32_t depth) {
    if (end - begin <= few) {
      for (Key* p = begin + 1; p < end; p++) {
        const Key key = *p;
        Key* hole = p;
        for (; hole > begin && bucket(hole[-1], depth) > bucket(key, depth); hole--)
          *hole = hole[-1];
        *hole = key;
      }
      return;
    }
    uint32_t starts[258] = {};
    for (const Key* p = begin; p < end; p++) starts[bucket(*p, depth) + 1]++;
    for (size_t i = 1; i < 258; i++) starts[i] += starts[i - 1];
    scratch.resize(static_cast<size_t>(end - begin));
    for (const Key* p = begin; p < end; p++) scratch[starts[bucket(*p, depth)]++] = *p;
    std::copy(scratch.begin(), scratch.end(), begin);
  }

 private:
  static constexpr std::ptrdiff_t few = 24;
  std::vector<Key> scratch;
};

}  // namespace

Trie::Trie(const std::vector<Entry>& entries) : nodes(1), labels(1) {
  std::vector<Key> keys;
  keys.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); i++) {
    keys.push_back({0, static_cast<uint32_t>(entries[i].text.size()), static_cast<uint32_t>(i)});
  }
  BucketSort sorter;
  std::vector<Range> open;
  if (!keys.empty()) open.push_back({0, 0, static_cast<uint32_t>(keys.size()), 0});
  while (!open.empty()) {
    Range range = open.back();
    open.pop_back();
    const Key& only = keys[range.begin];
    if (range.begin + 1 == range.end && range.depth > 0) {
      Node& node = nodes[range.node];
      node.first = static_cast<uint32_t>(tails.size());
      node.tail = static_cast<uint16_t>(only.size - range.depth);
      node.value = entries[only.entry].value;
      tails += entries[only.entry].text.substr(range.depth);
      continue;
    }
    if (range.depth % 8 == 0) {
      for (uint32_t i = range.begin; i < range.end; i++) {
        keys[i].head = head_of(entries[keys[i].entry].text, range.depth);
      }
    }
    sorter.sort(keys.data() + range.begin, keys.data() + range.end, range.depth);
    for (; range.begin < range.end && keys[range.begin].size == range.depth; range.begin++) {
      nodes[range.node].value = entries[keys[range.begin].entry].value;
    }
    nodes[range.node].first = static_cast<uint32_t>(nodes.size());
    for (uint32_t begin = range.begin; begin < range.end;) {
      const uint8_t label = byte_at(keys[begin], range.depth);
      uint32_t end = begin + 1;
      while (end < range.end && byte_at(keys[end], range.depth) == label) end++;
      open.push_back({static_cast<uint32_t>(nodes.size()), begin, end, range.depth + 1});
      nodes[range.node].children++;
      nodes.emplace_back();
      labels.push_back(label);
      begin = end;
    }
  }
  for (uint32_t i = 0; i < nodes[0].children; i++)
    first_child[labels[nodes[0].first + i]] = nodes[0].first + i;
}

}  // namespace inlay
