#pragma once

#include <cstdint>

// The AMX instructions that amx_bf16.cpp uses, each tile register named by a template argument. A test build puts its
// own header of this name in front of this one.
//
// They are written in assembly because compilers' intrinsics say too little about memory: GCC's tile load names no
// memory that it reads and its configuration load only 8 of 64 bytes, so stores in front of them may be moved behind
// them or dropped. No compiler allocates tile registers unless asked, so none are named as clobbered.
namespace inlay::kernels {
namespace {

// Intel's Software Developer's Manual, volume 2, LDTILECFG: palette 1 has 8 tiles of at most 16 rows of 64 bytes.
struct TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64, "LDTILECFG reads 64 bytes");

inline void load_tile_configuration(const TileConfiguration& configuration) {
  __asm__ volatile("ldtilecfg %0" : : "m"(configuration));
}

inline void release_tiles() { __asm__ volatile("tilerelease"); }

template <int tile>
inline void zero_tile() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
}

// 16 consecutive rows.
template <int tile>
inline void load_tile(const char* from) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                   :
                   : "r"(from), "r"(int64_t(64)), "i"(tile), "m"(*reinterpret_cast<const char(*)[1024]>(from)));
}

// The same 64 bytes in every row.
template <int tile>
inline void load_tile_row(const void* from) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                   :
                   : "r"(from), "r"(int64_t(0)), "i"(tile), "m"(*reinterpret_cast<const char(*)[64]>(from)));
}

// Rows `stride` bytes apart.
template <int tile>
inline void store_tile(float* to, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
}

// sums[m][n] += the products of the pairs of bfloat16 a[m][k] and b[k][n], over all 16 k.
template <int sums, int a, int b>
inline void multiply_tiles() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}

}  // namespace
}  // namespace inlay::kernels
