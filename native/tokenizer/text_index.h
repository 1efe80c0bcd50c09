#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace inlay {

// A polynomial hash modulo 2^64. The hash of a text's parts follows from those of its prefixes:
// hash(a + b) = hash(a) * power(|b|) + hash(b).
struct TextHash {
  static constexpr uint64_t base = 0x9E3779B97F4A7C15u;

  static uint64_t extend(uint64_t hash, char c) {
    return hash * base + static_cast<uint8_t>(c) + 1;
  }

  static uint64_t of(std::string_view text, uint64_t hash = 0) {
    for (const char c : text) hash = extend(hash, c);
    return hash;
  }
};

// From a token's text to its id. Holds views: the texts must outlive it.
class TextIndex {
 public:
  explicit TextIndex(size_t expected) {
    size_t size = 16;
    while (size < 2 * expected) size *= 2;
    slots.resize(size);
    mask = size - 1;
  }

  // A later token of the same text takes the place of an earlier one.
  void insert(std::string_view text, int32_t id) {
    const uint64_t hash = TextHash::of(text);
    size_t i = start(hash);
    while (slots[i].id != none && !(slots[i].hash == tag(hash) && slots[i].text == text))
      i = (i + 1) & mask;
    slots[i] = {text, tag(hash), id};
  }

  static constexpr int32_t none = -1;

  // `hash` must be the text's own; `text` is asked as same(candidate).
  template <typename Same>
  int32_t find(uint64_t hash, Same&& same) const {
    for (size_t i = start(hash);; i = (i + 1) & mask) {
      const Slot& slot = slots[i];
      if (slot.id == none) return none;
      if (slot.hash == tag(hash) && same(slot.text)) return slot.id;
    }
  }

  int32_t find(std::string_view text, uint64_t hash) const {
    return find(hash, [&](std::string_view candidate) { return candidate == text; });
  }
  int32_t find(std::string_view text) const { return find(text, TextHash::of(text)); }

 private:
  struct Slot {
    std::string_view text;
    uint32_t hash = 0;
    int32_t id = none;
  };

  static uint64_t mix(uint64_t hash) { return (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u; }
  static uint32_t tag(uint64_t hash) { return static_cast<uint32_t>(hash >> 16); }
  size_t start(uint64_t hash) const { return static_cast<size_t>(mix(hash) >> 32) & mask; }

  std::vector<Slot> slots;  // a power of two of them, at most half of them taken
  size_t mask;
};

}  // namespace inlay
