#include "kernels/bf16_tiles.h"
#include "kernels/tables.h"

// Products on VDPBF16PS: 8 rows by 32 columns of sums in 16 registers. Each sum is one chain over the depth from its
// bias on, pair by pair, the odd value of a pair first (the instruction's own order).
namespace inlay::kernels {
namespace {

constexpr int32_t sum_rows = 8;

INLAY_INLINE __m512i broadcast_pair(const char* pair) {
  int32_t bits;
  __builtin_memcpy(&bits, pair, sizeof(bits));
  return _mm512_set1_epi32(bits);
}

// The 8 rows from `a` on, which lie in one row of tiles. Adds to the sums it finds.
INLAY_INLINE void multiply_rows(const char* a, const char* panel, int32_t steps, Vec (&sums)[sum_rows][2]) {
  for (int32_t step = 0; step < steps; step++) {
#pragma GCC unroll 4
    for (int32_t pair = 0; pair < 16; pair++) {
      const __m512i weights[2] = {_mm512_load_si512(panel + pair * tile_row_bytes),
                                  _mm512_load_si512(panel + tile_bytes + pair * tile_row_bytes)};
#pragma GCC unroll 8
      for (int r = 0; r < sum_rows; r++) {
        const __m512i x = broadcast_pair(a + r * tile_row_bytes + pair * 4);
        sums[r][0] = add_dots(sums[r][0], weights[0], x);
        sums[r][1] = add_dots(sums[r][1], weights[1], x);
      }
    }
    a += tile_bytes;
    panel += step_bytes;
  }
}

INLAY_INLINE void store_sums(const Vec (&sums)[sum_rows][2], float* out, int64_t out_stride) {
#pragma GCC unroll 8
  for (int r = 0; r < sum_rows; r++) {
    store(out + r * out_stride, sums[r][0]);
    store(out + r * out_stride + lanes, sums[r][1]);
  }
}

void multiply_panel(const char* a, int64_t a_stride, int32_t rows, const char* panel, int32_t steps, float* out,
                    int64_t out_stride) {
  for (int32_t r = 0; r < rows; r += sum_rows) {
    Vec sums[sum_rows][2];
#pragma GCC unroll 8
    for (auto& row : sums) row[0] = row[1] = zero();
    multiply_rows(a + r / tile_rows * a_stride + r % tile_rows * tile_row_bytes, panel, steps, sums);
    store_sums(sums, out + r * out_stride, out_stride);
  }
}

}  // namespace
}  // namespace inlay::kernels

#include "kernels/bf16_attention.h"

namespace inlay::kernels {
namespace {

// Fetches the lines of the next panel into the L2 cache, an equal share with each block of this one.
struct Prefetch {
  const char* next;
  int64_t share;
  void block() {
    for (int64_t i = 0; i < share; i += tile_row_bytes) _mm_prefetch(next + i, _MM_HINT_T1);
    next += share;
  }
};

template <Epilogue epilogue>
void product_with(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  const int32_t steps = steps_of(p.depth);
  const int64_t panel_bytes = int64_t(steps) * step_bytes;
  const int32_t blocks = (row_end - row_begin + sum_rows - 1) / sum_rows;
  alignas(64) float block_sums[sum_rows * panel_width];
  for (int32_t panel = panel_begin; panel < panel_end; panel++) {
    const char* weights = static_cast<const char*>(p.panels) + panel * panel_bytes;
    const float* bias = p.bias == nullptr ? nullptr : p.bias + int64_t(panel) * panel_width;
    const Vec start[2] = {bias == nullptr ? zero() : load(bias), bias == nullptr ? zero() : load(bias + lanes)};
    Prefetch prefetch = {weights + panel_bytes, panel + 1 < panel_end ? panel_bytes / blocks / tile_row_bytes * tile_row_bytes : 0};
    for (int32_t row = row_begin; row < row_end; row += sum_rows) {
      Vec sums[sum_rows][2];
#pragma GCC unroll 8
      for (auto& s : sums) {
        s[0] = start[0];
        s[1] = start[1];
      }
      prefetch.block();
      multiply_rows(tiled_row(p.a, p.depth, row), weights, steps, sums);
      store_sums(sums, block_sums, panel_width);
      Sums rest = place_sums(p, panel, row, least(row + sum_rows, row_end), block_sums);
      while (rest.rows > 0) finish_row<epilogue>(rest);
    }
  }
}

void product(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  switch (p.epilogue) {
    case Epilogue::store: return product_with<Epilogue::store>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::store_f32: return product_with<Epilogue::store_f32>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::add_f32: return product_with<Epilogue::add_f32>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::gelu_erf: return product_with<Epilogue::gelu_erf>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::gelu_tanh: return product_with<Epilogue::gelu_tanh>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::gated_silu: return product_with<Epilogue::gated_silu>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::gated_gelu_erf:
      return product_with<Epilogue::gated_gelu_erf>(p, row_begin, row_end, panel_begin, panel_end);
    case Epilogue::gated_gelu_tanh:
      return product_with<Epilogue::gated_gelu_tanh>(p, row_begin, row_end, panel_begin, panel_end);
  }
}

uint64_t product_scratch(PanelType, int32_t) { return 0; }

}  // namespace

const Kernels avx512_bf16_kernels = {
    Isa::avx512_bf16, "avx512-bf16", Layout::bf16_tiles, panel_width, false, nullptr, nullptr, pack, nullptr, nullptr,
    widen_f16, product, norm, convert, heads, attention, mean, product_scratch, attention_scratch,
};

}  // namespace inlay::kernels
