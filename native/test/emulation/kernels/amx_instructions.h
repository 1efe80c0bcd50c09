#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/bf16_instructions.h"

// Stands in for the header of the same name in native/: AMX's tiles in memory, after the operation sections of LDTILECFG,
// TILELOADD, TILESTORED, TILEZERO and TDPBF16PS in Intel's Software Developer's Manual, volume 2. Each thread has its
// own tiles. What raises an exception on a CPU ends the process with a line that says what it was.
namespace inlay::kernels {
namespace {

struct TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64, "LDTILECFG reads 64 bytes");

struct Tiles {
  bool configured = false;
  TileConfiguration shape;
  alignas(64) char contents[8][16][64] = {};
};

inline Tiles& tiles() {
  static thread_local Tiles of_this_thread;
  return of_this_thread;
}

inline void fault_unless(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "AMX emulation: %s\n", what);
  std::abort();
}

inline void load_tile_configuration(const TileConfiguration& configuration) {
  const TileConfiguration& c = configuration;
  fault_unless(c.palette <= 1, "#GP: LDTILECFG of an unknown palette");
  for (uint8_t byte : c.reserved) fault_unless(byte == 0, "#GP: LDTILECFG with reserved bytes");
  for (int i = 0; i < 16; i++) {
    if (i >= 8) fault_unless(c.rows[i] == 0 && c.row_bytes[i] == 0, "#GP: LDTILECFG of a tile beyond the eighth");
    fault_unless(c.rows[i] <= 16 && c.row_bytes[i] <= 64, "#GP: LDTILECFG of a tile beyond 16 rows of 64 bytes");
    fault_unless((c.rows[i] == 0) == (c.row_bytes[i] == 0), "#GP: LDTILECFG of rows without bytes or bytes without rows");
  }
  tiles() = Tiles();
  tiles().configured = c.palette == 1;
  tiles().shape = c;
}

inline void release_tiles() { tiles() = Tiles(); }

inline void use_tile(int tile) {
  fault_unless(tiles().configured, "#UD: a tile before LDTILECFG or after TILERELEASE");
  fault_unless(tiles().shape.rows[tile] != 0, "#UD: a tile that is not configured");
  fault_unless(tiles().shape.start_row == 0, "a start row, which no kernel sets");
}

template <int tile>
inline void zero_tile() {
  use_tile(tile);
  std::memset(tiles().contents[tile], 0, sizeof(tiles().contents[tile]));
}

template <int tile>
inline void load_rows(const char* from, int64_t stride) {
  zero_tile<tile>();
  const TileConfiguration& shape = tiles().shape;
  for (int r = 0; r < shape.rows[tile]; r++) {
    std::memcpy(tiles().contents[tile][r], from + r * stride, shape.row_bytes[tile]);
  }
}

template <int tile>
inline void load_tile(const char* from) {
  load_rows<tile>(from, 64);
}

template <int tile>
inline void load_tile_row(const void* from) {
  load_rows<tile>(static_cast<const char*>(from), 0);
}

template <int tile>
inline void store_tile(float* to, int64_t stride) {
  use_tile(tile);
  const TileConfiguration& shape = tiles().shape;
  for (int r = 0; r < shape.rows[tile]; r++) {
    std::memcpy(reinterpret_cast<char*>(to) + r * stride, tiles().contents[tile][r], shape.row_bytes[tile]);
  }
}

// Even and odd values of the depth add up apart, from zero, in fused multiply-adds; then their sum is added.
template <int sums, int a, int b>
inline void multiply_tiles() {
  static_assert(sums != a && a != b && sums != b, "#UD: TDPBF16PS with one tile twice");
  use_tile(sums);
  use_tile(a);
  use_tile(b);
  const TileConfiguration& shape = tiles().shape;
  fault_unless(shape.rows[sums] == shape.rows[a], "#UD: TDPBF16PS of unequal rows");
  fault_unless(shape.row_bytes[sums] == shape.row_bytes[b], "#UD: TDPBF16PS of unequal columns");
  fault_unless(shape.row_bytes[a] / 4 == shape.rows[b], "#UD: TDPBF16PS of unequal depths");
  const int depth = shape.rows[b];
  __m512 even_b[16], odd_b[16];
  for (int k = 0; k < depth; k++) {
    const __m512i row = _mm512_loadu_si512(tiles().contents[b][k]);
    even_b[k] = even_of_pairs(row);
    odd_b[k] = odd_of_pairs(row);
  }
  for (int m = 0; m < shape.rows[sums]; m++) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    const __m512i row = _mm512_loadu_si512(tiles().contents[a][m]);
    alignas(64) float even_a[16], odd_a[16];
    _mm512_store_ps(even_a, even_of_pairs(row));
    _mm512_store_ps(odd_a, odd_of_pairs(row));
    for (int k = 0; k < depth; k++) {
      even = flushing_fma(_mm512_set1_ps(even_a[k]), even_b[k], even);
      odd = flushing_fma(_mm512_set1_ps(odd_a[k]), odd_b[k], odd);
    }
    char* to = tiles().contents[sums][m];
    const __m512 both = flush_denormals(_mm512_add_ps(even, odd));
    _mm512_storeu_ps(to, flush_denormals(_mm512_add_ps(flush_denormals(_mm512_loadu_ps(to)), both)));
  }
}

}  // namespace
}  // namespace inlay::kernels
