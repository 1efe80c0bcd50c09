#pragma once

#include <cstdint>

#include "kernels/bf16_instructions.h"
#include "kernels/bf16_math.h"
#include "kernels/kernels.h"
#include "kernels/vec_avx512.h"
#include "kernels/vec_rows.h"

// What the tables of the bf16_tiles layout share: where things lie, packing, work on rows, and what becomes of a
// product's sums. All of it is in an unnamed namespace: see kernels.h.
namespace inlay::kernels {
namespace {

constexpr int32_t panel_width = 32;               // panel_columns
constexpr int32_t step_bytes = 2 * tile_bytes;    // of a panel for 32 of the depth

INLAY_INLINE int32_t steps_of(int32_t depth) { return padded_columns(depth) / tile_columns; }

INLAY_INLINE __mmask32 first_32(int32_t n) { return __mmask32((uint64_t(1) << n) - 1); }

// The n <= 32 values of a row from `column` on, which may lie in two tiles; zeros behind them.
INLAY_INLINE __m512i load_columns(const char* row, int32_t column, int32_t n) {
  const char* tile = row + int64_t(column / tile_columns) * tile_bytes;
  const int32_t skipped = column % tile_columns;
  const int32_t here = least(n, tile_columns - skipped);
  const __m512i x = _mm512_maskz_loadu_epi16(first_32(here), tile + 2 * skipped);
  if (here == n) return x;
  return _mm512_mask_loadu_epi16(x, first_32(n) & ~first_32(here), tile + tile_bytes - 2 * here);
}

INLAY_INLINE void store_columns(char* row, int32_t column, int32_t n, __m512i x) {
  char* tile = row + int64_t(column / tile_columns) * tile_bytes;
  const int32_t skipped = column % tile_columns;
  const int32_t here = least(n, tile_columns - skipped);
  _mm512_mask_storeu_epi16(tile + 2 * skipped, first_32(here), x);
  if (here < n) _mm512_mask_storeu_epi16(tile + tile_bytes - 2 * here, first_32(n) & ~first_32(here), x);
}

INLAY_INLINE Vec widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
INLAY_INLINE Vec widen_low(__m512i x) { return widen(_mm512_castsi512_si256(x)); }
INLAY_INLINE Vec widen_high(__m512i x) { return widen(_mm512_extracti64x4_epi64(x, 1)); }

// 16 rows of 16 pairs, to be turned around into 16 rows of one pair of each: the second operand of a tile product.
struct PairSquare {
  alignas(64) float rows[256];
  INLAY_INLINE void set_row(int32_t r, __m512i pairs) { _mm512_store_si512(rows + r * 16, pairs); }
  INLAY_INLINE void transpose(char* tile) const { transpose_square(rows, 16, reinterpret_cast<float*>(tile), 16); }
};

// ---- packing ----

void pack(const float* rows, int32_t stride, int32_t depth, void* panel) {
  char* out = static_cast<char*>(panel);
  for (int32_t k = 0; k < depth; k += tile_columns) {
    const int32_t low = least(lanes, depth - k), high = most(0, least(lanes, depth - k - lanes));
    for (int32_t first_row = 0; first_row < panel_width; first_row += tile_rows) {
      PairSquare square;
      for (int32_t r = 0; r < tile_rows; r++) {
        const float* from = rows + int64_t(first_row + r) * stride + k;
        square.set_row(r, narrow(load_first(from, low), load_first(from + lanes, high)));
      }
      square.transpose(out);
      out += tile_bytes;
    }
  }
}

// ---- rows ----

void norm(const Norm& p, int32_t row_begin, int32_t row_end) {
  norm_rows(p, row_begin, row_end, [&p](int32_t m, int32_t c, const Vec(&y)[2]) {
    _mm512_store_si512(tiled_row(p.activation, p.columns, m) + c / tile_columns * tile_bytes, narrow(y[0], y[1]));
  });
}

void convert(const float* in, void* activation, int32_t columns, int32_t row_begin, int32_t row_end) {
  for (int32_t m = row_begin; m < row_end; m++) {
    const float* from = in + int64_t(m) * row_stride(columns);
    char* to = tiled_row(activation, columns, m);
    for (int32_t c = 0; c < columns; c += tile_columns, to += tile_bytes) {
      _mm512_store_si512(to, narrow(load(from + c), load(from + c + lanes)));
    }
  }
}

// A head at a time in floats, rounded once more when it goes back.
void heads(const HeadPass& p, int32_t row_begin, int32_t row_end) {
  constexpr int32_t largest_head = 256;
  alignas(64) float head[largest_head];
  for (int32_t m = row_begin; m < row_end; m++) {
    char* row = tiled_row(p.activation, p.columns, m);
    const float* cosines = row_rotations(p, m);
    for (int32_t h = 0; h < p.heads; h++) {
      const int32_t first = p.first_column + h * p.head_size;
      for (int32_t i = 0; i < p.head_size; i += tile_columns) {
        const __m512i x = load_columns(row, first + i, least(tile_columns, p.head_size - i));
        store(head + i, widen_low(x));
        store(head + i + lanes, widen_high(x));
      }
      pass_head(p, head, cosines);
      for (int32_t i = 0; i < p.head_size; i += tile_columns) {
        store_columns(row, first + i, least(tile_columns, p.head_size - i), narrow(load(head + i), load(head + i + lanes)));
      }
    }
  }
}

// ---- epilogues ----

// The sums of up to 16 rows of one panel, bias included, and where what becomes of them goes.
struct Sums {
  const float* sums;   // rows of panel_width
  char* out;           // the first row's place
  int64_t out_step;    // bytes from one row's place to the next
  int32_t rows;        // 16, or those up to the matrix's end
  bool last_half;      // gated: the half of a tile that these sums fill is the last one, and no panel fills the other
};

INLAY_INLINE Sums place_sums(const Product& p, int32_t panel, int32_t row, int32_t row_end, const float* sums) {
  Sums s = {sums, nullptr, tile_row_bytes, least(tile_rows, row_end - row), false};
  if (p.epilogue == Epilogue::store_f32 || p.epilogue == Epilogue::add_f32) {
    s.out_step = int64_t(row_stride(p.columns)) * int64_t(sizeof(float));
    s.out = reinterpret_cast<char*>(p.sums + int64_t(row) * row_stride(p.columns) + panel * panel_width);
  } else if (is_gated(p.epilogue)) {
    s.out = tiled_row(p.out, p.columns, row) + int64_t(panel / 2) * tile_bytes + panel % 2 * (tile_row_bytes / 2);
    s.last_half = panel % 2 == 0 && (panel + 1) * (panel_width / 2) >= p.columns;
  } else {
    s.out = tiled_row(p.out, p.columns, row) + int64_t(panel) * tile_bytes;
  }
  return s;
}

template <Epilogue epilogue>
INLAY_INLINE Vec activate(Vec x) {
  if constexpr (epilogue == Epilogue::gelu_erf || epilogue == Epilogue::gated_gelu_erf) return bf16_gelu_erf(x);
  if constexpr (epilogue == Epilogue::gelu_tanh || epilogue == Epilogue::gated_gelu_tanh) return bf16_gelu_tanh(x);
  if constexpr (epilogue == Epilogue::gated_silu) return bf16_silu(x);
  return x;
}

// Takes the first row of `s` to its place and moves on to the next.
template <Epilogue epilogue>
INLAY_INLINE void finish_row(Sums& s) {
  const Vec x = load(s.sums), y = load(s.sums + lanes);
  float* out = reinterpret_cast<float*>(s.out);
  if constexpr (epilogue == Epilogue::store_f32) {
    store(out, x);
    store(out + lanes, y);
  } else if constexpr (epilogue == Epilogue::add_f32) {
    store(out, add(load(out), x));
    store(out + lanes, add(load(out + lanes), y));
  } else if constexpr (is_gated(epilogue)) {
    const __m512i values = narrow(mul(activate<epilogue>(x), y), zero());
    if (s.last_half) _mm512_store_si512(out, values);
    else _mm256_store_si256(reinterpret_cast<__m256i*>(out), _mm512_castsi512_si256(values));
  } else {
    _mm512_store_si512(out, narrow(activate<epilogue>(x), activate<epilogue>(y)));
  }
  s.sums += panel_width;
  s.out += s.out_step;
  s.rows--;
}

}  // namespace
}  // namespace inlay::kernels
