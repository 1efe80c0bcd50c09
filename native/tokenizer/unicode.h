#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// The Unicode character data that tokenizers ask for. Tables come from
// native/scripts/unicode-tables.mjs; their Unicode version is tables::unicode_version. The
// tokenizers that models were trained with froze older versions, so characters newer than those
// (2015 for WordPiece's categories) may split differently there.
namespace inlay::unicode {

namespace tables {
#include "tokenizer/unicode_tables.inc"
}

// General categories, in the order of the generator's list.
enum Category : uint8_t {
  Cn, Cc, Cf, Co, Cs, Ll, Lm, Lo, Lt, Lu, Mc, Me, Mn, Nd, Nl, No,
  Pc, Pd, Pe, Pf, Pi, Po, Ps, Sc, Sk, Sm, So, Zl, Zp, Zs,
};

constexpr uint32_t letters = 1u << Ll | 1u << Lm | 1u << Lo | 1u << Lt | 1u << Lu;
constexpr uint32_t numbers = 1u << Nd | 1u << Nl | 1u << No;
constexpr uint32_t punctuation =
    1u << Pc | 1u << Pd | 1u << Pe | 1u << Pf | 1u << Pi | 1u << Po | 1u << Ps;

// What one table look-up tells of a code point.
struct Properties {
  uint8_t bits;

  Category category() const { return static_cast<Category>(bits & 31); }
  bool in(uint32_t categories) const { return categories >> (bits & 31) & 1; }
  bool is_space() const { return bits & 32; }           // White_Space
  bool may_change_in_nfc() const { return bits & 64; }  // together with what stands before it
  bool may_change_in_nfd() const { return bits & 128; }
};

constexpr uint32_t block_bits = 6;

template <typename Index, typename Block, size_t N, size_t M>
inline Block look_up(const Index (&index)[N], const Block (&blocks)[M], char32_t c) {
  const uint32_t block = c >> block_bits;
  if (block >= N) return 0;
  return blocks[(static_cast<uint32_t>(index[block]) << block_bits) +
                (c & ((1u << block_bits) - 1))];
}

Category high_category(char32_t c);

inline Properties properties(char32_t c) {
  if (c >= 0x40000) return {high_category(c)};
  return {look_up(tables::category_index, tables::category_blocks, c)};
}

// The rank of the canonical combining class: 0 for starters, higher for higher classes.
inline uint8_t combining_rank(char32_t c) {
  return look_up(tables::combining_index, tables::combining_blocks, c);
}

// The lowercase of one code point by itself, without regard to its neighbours; U+0130, whose
// lowercase is two code points (i and U+0307), is the caller's to handle.
inline char32_t to_lower(char32_t c) {
  return c + tables::lower_deltas[look_up(tables::lower_index, tables::lower_blocks, c)];
}

// Writes the full canonical decomposition of c, at most 4 code points, and returns how many.
int decompose(char32_t c, char32_t* parts);

// The ideographs that BERT's tokenizer sets apart. 0x2B920 stands where Unicode has 0x2B820, as in
// the original.
inline bool is_bert_ideograph(char32_t c) {
  if (c < 0x3400) return false;
  return (c >= 0x4E00 && c <= 0x9FFF) || c <= 0x4DBF || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
         (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

// Normalization form C of well-formed UTF-8: `text` itself where it is in that form already, else a
// view of `buffer`, which must not hold `text`. Time is n log n in the longest run of combining
// marks, linear else.
std::string_view to_nfc(std::string_view text, std::string& buffer);

}  // namespace inlay::unicode
