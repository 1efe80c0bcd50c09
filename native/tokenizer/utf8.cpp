#include "tokenizer/utf8.h"

#include <cstring>

namespace inlay::utf8 {

namespace {

// Length of the well-formed sequence at p, or minus the length of the maximal subpart that is
// ill-formed (Table 3-7, "Well-Formed UTF-8 Byte Sequences").
int measure(const uint8_t* p, const uint8_t* end) {
  const uint8_t lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  const int bytes = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (int i = 1; i < bytes; i++) {
    if (p + i == end || p[i] < low || p[i] > high) return -i;
    low = 0x80;
    high = 0xBF;
  }
  return bytes;
}

// The first ill-formed byte at or after p.
const uint8_t* skip_well_formed(const uint8_t* p, const uint8_t* end) {
  while (p < end) {
    while (end - p >= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      if (word & 0x8080808080808080u) break;
      p += 8;
    }
    if (p == end) break;
    const int length = measure(p, end);
    if (length < 0) break;
    p += length;
  }
  return p;
}

}  // namespace

std::string_view well_formed(std::string_view text, std::string& buffer) {
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = begin + text.size();
  const uint8_t* bad = skip_well_formed(begin, end);
  if (bad == end) return text;

  buffer.clear();
  const uint8_t* p = begin;
  while (true) {
    buffer.append(reinterpret_cast<const char*>(p), static_cast<size_t>(bad - p));
    if (bad == end) return buffer;
    append(buffer, replacement);
    p = bad - measure(bad, end);
    bad = skip_well_formed(p, end);
  }
}

}  // namespace inlay::utf8
