#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/vec_rows.h"

// Products of the f32_rows layout and the packing of their weights; see f32_kernels.h.
//
// The heart is `multiply`: a block of rows of `a` times one panel, or half as many times two, all sums in registers for
// the whole depth. So each sum is one chain of fused multiply-adds over k = 0, 1, 2, ..., however many rows share the
// block. Panels stay in the outer loop and rows in the inner one: a panel is read from memory once and then from the
// L1 or L2 cache.
namespace inlay::kernels {
namespace {

constexpr int32_t panel_width = panel_vectors * lanes;
static_assert(32 % panel_width == 0 && panel_vectors % 2 == 0, "a gated panel splits between vectors");

// out[r][n] = sum over k of a[r][k] * b[k][n]. b is a panel, or any matrix of panel_width columns `panel_width` apart;
// with two panels, the second one is b_stride after the first and gives the next columns of out.
// Meanwhile memory from `ahead` on is fetched into the L2 cache, `ahead_step` bytes for every four k.
struct Block {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  int32_t depth;
  float* out;
  int64_t out_stride;
  const char* ahead;
  int32_t ahead_step;  // 64 to 256; 0: nothing to fetch
  bool resumes;        // adds to what `out` holds instead of to zero
};

// Rows in groups of three, each group from one pointer: with the stride once and twice as an index, every value of a
// block is one addressing mode away, and the addresses of twelve rows fit in the registers there are.
template <int rows>
struct RowPointers {
  static constexpr int groups = (rows + 2) / 3;
  const char* group[groups];
  int64_t stride;  // bytes

  INLAY_INLINE RowPointers(const float* a, int64_t a_stride) : stride(a_stride * 4) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
      group[g] = reinterpret_cast<const char*>(a) + 3 * g * stride;
      __asm__("" : "+r"(group[g]));  // or the compiler derives all from one, and spills
    }
  }
  INLAY_INLINE float value(int row, int k) const {
    float x;
    __builtin_memcpy(&x, group[row / 3] + row % 3 * stride + 4 * k, sizeof(x));
    return x;
  }
  INLAY_INLINE void advance(int k) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) group[g] += 4 * k;
  }
};

template <int rows, int vectors>
INLAY_INLINE void multiply_step(const RowPointers<rows>& a, int k, const float* b, int64_t b_stride,
                                Vec (&sums)[rows][vectors]) {
  Vec weights[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) {
    const float* panel = v < panel_vectors ? b : b + b_stride;
    weights[v] = load(panel + k * panel_width + v % panel_vectors * lanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++) {
    const Vec x = set1(a.value(r, k));
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sums[r][v] = fma(x, weights[v], sums[r][v]);
  }
}

template <int rows, int panels>
void multiply(const Block& block) {
  constexpr int vectors = panels * panel_vectors;
  Vec sums[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) {
      sums[r][v] = block.resumes ? load(block.out + r * block.out_stride + v * lanes) : zero();
    }
  }
  RowPointers<rows> a(block.a, block.a_stride);
  const float* b = block.b;
  const int64_t b_stride = block.b_stride;
  const char* ahead = block.ahead;
  const int64_t ahead_step = block.ahead_step;
  int32_t k = block.depth;
  for (; k >= 4; k -= 4) {
    multiply_step(a, 0, b, b_stride, sums);
    __builtin_prefetch(ahead, 0, 2);
    multiply_step(a, 1, b, b_stride, sums);
    __builtin_prefetch(ahead + ahead_step / 4, 0, 2);
    multiply_step(a, 2, b, b_stride, sums);
    __builtin_prefetch(ahead + ahead_step / 2, 0, 2);
    multiply_step(a, 3, b, b_stride, sums);
    __builtin_prefetch(ahead + ahead_step / 2 + ahead_step / 4, 0, 2);
    ahead += ahead_step;
    a.advance(4);
    b += 4 * panel_width;
  }
  for (; k > 0; k--) {
    multiply_step(a, 0, b, b_stride, sums);
    a.advance(1);
    b += panel_width;
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) store(block.out + r * block.out_stride + v * lanes, sums[r][v]);
  }
}

using Multiply = void (*)(const Block&);

// Rows of a block that spans so many panels.
constexpr int32_t rows_of(int32_t panels) { return block_rows / panels; }

// Only blocks that fit the registers are made; nothing asks for the others.
template <int rows, int panels>
constexpr Multiply multiply_of() {
  if constexpr (panels <= block_panels && rows <= rows_of(panels)) return multiply<rows, panels>;
  else return nullptr;
}

template <int panels>
constexpr Multiply multiplies[] = {
    multiply_of<1, panels>(), multiply_of<2, panels>(),  multiply_of<3, panels>(),  multiply_of<4, panels>(),
    multiply_of<5, panels>(), multiply_of<6, panels>(),  multiply_of<7, panels>(),  multiply_of<8, panels>(),
    multiply_of<9, panels>(), multiply_of<10, panels>(), multiply_of<11, panels>(), multiply_of<12, panels>(),
};
static_assert(block_rows <= 12 && block_panels <= 2, "a function for every block");

INLAY_INLINE void multiply_block(const Block& block, int32_t rows, int32_t panels) {
  (panels == 1 ? multiplies<1> : multiplies<2>)[rows - 1](block);
}

// What becomes of the sums of some rows and one panel, at `row` and `panel` of the result.
template <typename Finish>
INLAY_INLINE void finish_rows(const float* sums, int64_t sums_stride, const float* bias, int32_t rows, float* out,
                              int64_t out_stride, Finish finish) {
  for (int32_t r = 0; r < rows; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < panel_vectors; v++) {
      Vec x = load(sums + r * sums_stride + v * lanes);
      if (bias != nullptr) x = add(x, load(bias + v * lanes));
      float* to = out + r * out_stride + v * lanes;
      store(to, finish(x, to));
    }
  }
}

template <typename Activation>
INLAY_INLINE void finish_gated_rows(const float* sums, int64_t sums_stride, const float* bias, int32_t rows,
                                    float* out, int64_t out_stride, Activation activation) {
  constexpr int half = panel_vectors / 2;
  for (int32_t r = 0; r < rows; r++) {
#pragma GCC unroll 8
    for (int v = 0; v < half; v++) {
      Vec gate = load(sums + r * sums_stride + v * lanes);
      Vec up = load(sums + r * sums_stride + (half + v) * lanes);
      if (bias != nullptr) {
        gate = add(gate, load(bias + v * lanes));
        up = add(up, load(bias + (half + v) * lanes));
      }
      store(out + r * out_stride + v * lanes, mul(activation(gate), up));
    }
  }
}

void finish(const Product& p, int32_t panel, int32_t row, int32_t rows, const float* sums, int64_t sums_stride) {
  const int64_t stride = row_stride(p.columns);
  const int32_t given = is_gated(p.epilogue) ? panel_width / 2 : panel_width;
  const bool plain = p.epilogue == Epilogue::store_f32 || p.epilogue == Epilogue::add_f32;
  float* out = (plain ? p.sums : f32(p.out)) + row * stride + int64_t(panel) * given;
  const float* bias = p.bias == nullptr ? nullptr : p.bias + int64_t(panel) * panel_width;
  switch (p.epilogue) {
    case Epilogue::store:
    case Epilogue::store_f32:
      finish_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x, const float*) { return x; });
      break;
    case Epilogue::add_f32:
      finish_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x, const float* to) { return add(load(to), x); });
      break;
    case Epilogue::gelu_erf:
      finish_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x, const float*) { return gelu_erf(x); });
      break;
    case Epilogue::gelu_tanh:
      finish_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x, const float*) { return gelu_tanh(x); });
      break;
    case Epilogue::gated_silu:
      finish_gated_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x) { return silu(x); });
      break;
    case Epilogue::gated_gelu_erf:
      finish_gated_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x) { return gelu_erf(x); });
      break;
    case Epilogue::gated_gelu_tanh:
      finish_gated_rows(sums, sums_stride, bias, rows, out, stride, [](Vec x) { return gelu_tanh(x); });
      break;
  }
}

// Depth that panels are taken in at a time: 48 KB of each, so that longer ones stay in the nearer caches while all rows
// pass over them. Between two such steps sums wait in memory; a float stored and loaded is the same float, so the chain
// is one. Widened halves are read from where they were written: for few rows, that had better be the L1 cache.
constexpr int32_t depth_step = 12288 / panel_width;
constexpr int32_t short_depth_step = 4096 / panel_width;
// Rows whose sums wait together.
constexpr int32_t rows_at_once = 12 * block_rows;

// One panel or two by some rows, whose sums pass through `sums`.
struct Strip {
  const Product& p;
  int32_t panel;
  int32_t panels;
  const char* packed;
  int64_t next_bytes;  // after `packed`, that are fetched meanwhile
  int32_t row;
  int32_t rows;
  float* sums;
  float* widened;
};

INLAY_INLINE void finish_block(const Strip& strip, int32_t row, int32_t rows, const float* sums) {
  for (int32_t i = 0; i < strip.panels; i++) {
    finish(strip.p, strip.panel + i, strip.row + row, rows, sums + i * panel_width, strip.panels * panel_width);
  }
}

INLAY_INLINE void multiply_strip(const Strip& strip) {
  const Product& p = strip.p;
  const bool halves = p.panel_type == PanelType::f16;
  const int64_t stride = row_stride(p.depth), sums_stride = strip.panels * panel_width;
  const float* a = f32(p.a) + strip.row * stride;
  const int32_t block = rows_of(strip.panels);
  const int32_t blocks = (strip.rows + block - 1) / block;
  const int32_t least_rows = strip.rows / blocks, longer = strip.rows % blocks;  // the first `longer` have one more
  const int64_t panel_bytes = int64_t(p.depth) * panel_width * (halves ? 2 : 4), bytes = strip.panels * panel_bytes;
  int64_t fetched = 0;
  // Spread over the blocks: a burst of fetches would hold up the loads between them.
  const int32_t lines = int32_t(strip.next_bytes / 64);
  const int32_t ahead_step = 64 * most(1, least(4, (4 * lines + blocks * p.depth - 1) / (blocks * p.depth)));
  const int32_t step = halves && strip.rows <= 4 * block_rows ? short_depth_step / strip.panels : depth_step;
  for (int32_t k = 0; k < p.depth; k += step) {
    const int32_t depth = least(step, p.depth - k);
    const float* weights = f32(strip.packed) + int64_t(k) * panel_width;
    int64_t weights_stride = int64_t(p.depth) * panel_width;
    if (halves) {
      for (int32_t i = 0; i < strip.panels; i++) {
        const uint16_t* panel = reinterpret_cast<const uint16_t*>(strip.packed + i * panel_bytes);
        widen_f16(panel + int64_t(k) * panel_width, strip.widened + i * step * panel_width,
                  int64_t(depth) * panel_width);
      }
      weights = strip.widened;
      weights_stride = step * panel_width;
    }
    int32_t row = 0;
    for (int32_t i = 0; i < blocks; i++) {
      const int32_t rows = least_rows + (i < longer ? 1 : 0);
      const bool fetch = fetched < strip.next_bytes;
      float* sums = strip.sums + (step < p.depth ? row * sums_stride : 0);
      multiply_block({a + row * stride + k, stride, weights, weights_stride, depth, sums, sums_stride,
                      strip.packed + (fetch ? bytes + fetched : 0), fetch ? ahead_step : 0, k != 0},
                     rows, strip.panels);
      // Block by block: what it stores drains from the core while the next block computes.
      if (k + depth == p.depth) finish_block(strip, row, rows, sums);
      fetched += depth / 4 * ahead_step;
      row += rows;
    }
  }
}

void product(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  const int64_t panel_bytes = int64_t(p.depth) * panel_width * (p.panel_type == PanelType::f16 ? 2 : 4);
  float* sums = f32(p.scratch);
  float* widened = sums + rows_at_once * block_panels * panel_width;
  for (int32_t panel = panel_begin; panel < panel_end; panel += block_panels) {
    const int32_t panels = least(block_panels, panel_end - panel);
    const char* packed = static_cast<const char*>(p.panels) + panel * panel_bytes;
    for (int32_t row = row_begin; row < row_end; row += rows_at_once) {
      const int32_t next = row == row_begin ? least(block_panels, panel_end - panel - panels) : 0;
      multiply_strip({p, panel, panels, packed, next * panel_bytes, row, least(rows_at_once, row_end - row), sums,
                      widened});
    }
  }
}

uint64_t product_scratch(int32_t) {
  return uint64_t(rows_at_once + depth_step) * block_panels * panel_width * sizeof(float);
}

// ---- packing ----

void pack(const float* rows, int32_t stride, int32_t depth, void* panel) {
  float* out = f32(panel);
  int32_t k = 0;
  for (; k + lanes <= depth; k += lanes) {
    for (int32_t n = 0; n < panel_width; n += lanes) {
      transpose_square(rows + int64_t(n) * stride + k, stride, out + int64_t(k) * panel_width + n, panel_width);
    }
  }
  for (; k < depth; k++) {
    for (int32_t n = 0; n < panel_width; n++) out[int64_t(k) * panel_width + n] = rows[int64_t(n) * stride + k];
  }
}

// Two halves at a time, as if they were one float: turned around as such, then taken apart.
void pack_f16(const uint16_t* rows, int32_t stride, int32_t depth, void* panel) {
  uint16_t* out = static_cast<uint16_t*>(panel);
  alignas(64) float pairs[lanes * panel_width];
  int32_t k = 0;
  if (stride % 2 == 0) {
    for (; k + 2 * lanes <= depth; k += 2 * lanes) {
      for (int32_t n = 0; n < panel_width; n += lanes) {
        const uint16_t* square = rows + int64_t(n) * stride + k;
        transpose_square(reinterpret_cast<const float*>(square), stride / 2, pairs + n, panel_width);
      }
      for (int32_t i = 0; i < lanes; i++) {
        uint16_t* first = out + int64_t(k + 2 * i) * panel_width;
        for (int32_t n = 0; n < panel_width; n++) {
          uint32_t pair;
          __builtin_memcpy(&pair, pairs + i * panel_width + n, sizeof(pair));
          first[n] = uint16_t(pair);
          first[panel_width + n] = uint16_t(pair >> 16);
        }
      }
    }
  }
  for (; k < depth; k++) {
    for (int32_t n = 0; n < panel_width; n++) out[int64_t(k) * panel_width + n] = rows[int64_t(n) * stride + k];
  }
}

}  // namespace
}  // namespace inlay::kernels
