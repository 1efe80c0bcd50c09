#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace inlay::utf8 {

constexpr char32_t replacement = 0xFFFD;

// `text` itself where it is well-formed, else a view of `buffer`, in which U+FFFD stands for each
// maximal subpart of an ill-formed sequence (The Unicode Standard, section 3.9, "U+FFFD
// Substitution of Maximal Subparts").
std::string_view well_formed(std::string_view text, std::string& buffer);

// The code point at p, which must be at the start of a well-formed sequence; moves p behind it.
inline char32_t next(const char*& p) {
  const auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<uint8_t>(p[i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) {
    p += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t c = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    p += 2;
    return c;
  }
  if (lead < 0xF0) {
    const char32_t c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    p += 3;
    return c;
  }
  const char32_t c =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  p += 4;
  return c;
}

// Bytes of the well-formed sequence that begins with `lead`.
inline size_t length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

inline void append(std::string& text, char32_t c) {
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    const char bytes[] = {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    text.append(bytes, 2);
  } else if (c < 0x10000) {
    const char bytes[] = {static_cast<char>(0xE0 | c >> 12),
                          static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                          static_cast<char>(0x80 | (c & 0x3F))};
    text.append(bytes, 3);
  } else {
    const char bytes[] = {
        static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
        static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
    text.append(bytes, 4);
  }
}

}  // namespace inlay::utf8
