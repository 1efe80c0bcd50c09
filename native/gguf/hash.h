#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace inlay::gguf {

// A hash keyed per process, so that no file can be built whose names all collide.
// Multiply-and-fold of 64-bit words, after wyhash's construction (public domain).
struct KeyedHash {
  size_t operator()(std::string_view text) const {
    static const uint64_t key = (static_cast<uint64_t>(std::random_device{}()) << 32) | std::random_device{}();
    uint64_t hash = fold(key ^ text.size(), 0x9E3779B97F4A7C15u);
    const char* at = text.data();
    size_t left = text.size();
    for (; left >= 8; at += 8, left -= 8) hash = fold(hash ^ word(at, 8), key | 1);
    if (left > 0) hash = fold(hash ^ word(at, left), key | 1);
    return static_cast<size_t>(fold(hash, 0xA0761D6478BD642Fu));
  }

 private:
  static uint64_t word(const char* at, size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, at, bytes);
    return value;
  }

  static uint64_t fold(uint64_t a, uint64_t b) {
    const uint64_t a_low = a & 0xFFFFFFFFu, a_high = a >> 32, b_low = b & 0xFFFFFFFFu, b_high = b >> 32;
    const uint64_t low = a_low * b_low, middle1 = a_high * b_low, middle2 = a_low * b_high;
    const uint64_t carry = (low >> 32) + (middle1 & 0xFFFFFFFFu) + (middle2 & 0xFFFFFFFFu);
    const uint64_t high = a_high * b_high + (middle1 >> 32) + (middle2 >> 32) + (carry >> 32);
    // The sum keeps what xor alone would lose where one factor is zero.
    return (a * b) ^ high ^ (a + b);
  }
};

}  // namespace inlay::gguf
