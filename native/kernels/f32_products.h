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
//
// Integer products are the same blocks over quads: four bytes along the depth, in the place of one float.
namespace inlay::kernels {
namespace {

constexpr int32_t panel_width = panel_vectors * lanes;
static_assert(32 % panel_width == 0 && panel_vectors % 2 == 0, "a gated panel splits between vectors");

INLAY_INLINE int32_t quads_of(int32_t depth) { return (depth + 3) / 4; }

// A row of bytes stands for x / scale; `offset` is what weight_offset adds to its sums.
struct RowScale {
  float scale;
  int32_t offset;
};

// What one step along the depth adds to a sum: a float times a float, or four bytes times four bytes.
struct Floats {
  static constexpr bool whole = false;
  static INLAY_INLINE Vec accumulate(Vec x, Vec weights, Vec sum) { return fma(x, weights, sum); }
};
struct Quads {
  static constexpr bool whole = true;
  static INLAY_INLINE Vec accumulate(Vec x, Vec weights, Vec sum) { return add_quads(x, weights, sum); }
};

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
  // Of quads, where these are the last of them: what turns sums of integers into floats.
  const RowScale* row_scales = nullptr;     // of each row; nullptr: sums stay integers
  const float* column_scales = nullptr;     // of a panel; of a second one, b_stride on
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

template <typename Terms, int rows, int vectors>
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
    for (int v = 0; v < vectors; v++) sums[r][v] = Terms::accumulate(x, weights[v], sums[r][v]);
  }
}

template <int rows, int vectors>
INLAY_INLINE void scale_sums(const Block& block, Vec (&sums)[rows][vectors]) {
  Vec columns[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; v++) {
    const float* panel = block.column_scales + (v < panel_vectors ? 0 : block.b_stride);
    columns[v] = load(panel + v % panel_vectors * lanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++) {
    const RowScale scale = block.row_scales[r];
    const Vec row = set1(scale.scale);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sums[r][v] = mul(mul(whole_less(sums[r][v], scale.offset), row), columns[v]);
  }
}

template <typename Terms, int rows, int panels>
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
    multiply_step<Terms>(a, 0, b, b_stride, sums);
    __builtin_prefetch(ahead, 0, 2);
    multiply_step<Terms>(a, 1, b, b_stride, sums);
    __builtin_prefetch(ahead + ahead_step / 4, 0, 2);
    multiply_step<Terms>(a, 2, b, b_stride, sums);
    __builtin_prefetch(ahead + ahead_step / 2, 0, 2);
    multiply_step<Terms>(a, 3, b, b_stride, sums);
    __builtin_prefetch(ahead + ahead_step / 2 + ahead_step / 4, 0, 2);
    ahead += ahead_step;
    a.advance(4);
    b += 4 * panel_width;
  }
  for (; k > 0; k--) {
    multiply_step<Terms>(a, 0, b, b_stride, sums);
    a.advance(1);
    b += panel_width;
  }
  if constexpr (Terms::whole) {
    if (block.row_scales != nullptr) scale_sums(block, sums);
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
template <typename Terms, int rows, int panels>
constexpr Multiply multiply_of() {
  if constexpr (panels <= block_panels && rows <= rows_of(panels)) return multiply<Terms, rows, panels>;
  else return nullptr;
}

template <typename Terms, int panels>
constexpr Multiply multiplies[] = {
    multiply_of<Terms, 1, panels>(),  multiply_of<Terms, 2, panels>(),  multiply_of<Terms, 3, panels>(),
    multiply_of<Terms, 4, panels>(),  multiply_of<Terms, 5, panels>(),  multiply_of<Terms, 6, panels>(),
    multiply_of<Terms, 7, panels>(),  multiply_of<Terms, 8, panels>(),  multiply_of<Terms, 9, panels>(),
    multiply_of<Terms, 10, panels>(), multiply_of<Terms, 11, panels>(), multiply_of<Terms, 12, panels>(),
};
static_assert(block_rows <= 12 && block_panels <= 2, "a function for every block");

template <typename Terms>
INLAY_INLINE void multiply_block(const Block& block, int32_t rows, int32_t panels) {
  (panels == 1 ? multiplies<Terms, 1> : multiplies<Terms, 2>)[rows - 1](block);
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
  const float* a;      // of the first row: floats, or quads
  int64_t a_stride;
  int32_t depth;       // of both: floats, or quads
  float* sums;
  float* widened;
  const RowScale* scales;  // of the rows, where they are quads
};

INLAY_INLINE int64_t panel_bytes(PanelType type, int32_t depth) {
  if (type == PanelType::int8) return int64_t(quads_of(depth) + 1) * panel_width * 4;
  return int64_t(depth) * panel_width * (type == PanelType::f16 ? 2 : 4);
}

INLAY_INLINE void finish_block(const Strip& strip, int32_t row, int32_t rows, const float* sums) {
  for (int32_t i = 0; i < strip.panels; i++) {
    finish(strip.p, strip.panel + i, strip.row + row, rows, sums + i * panel_width, strip.panels * panel_width);
  }
}

template <typename Terms>
INLAY_INLINE void multiply_strip(const Strip& strip) {
  const Product& p = strip.p;
  const bool halves = p.panel_type == PanelType::f16;
  const int64_t sums_stride = strip.panels * panel_width;
  const int32_t block = rows_of(strip.panels);
  const int32_t blocks = (strip.rows + block - 1) / block;
  const int32_t least_rows = strip.rows / blocks, longer = strip.rows % blocks;  // the first `longer` have one more
  const int64_t one = panel_bytes(p.panel_type, p.depth), bytes = strip.panels * one;
  int64_t fetched = 0;
  // Spread over the blocks: a burst of fetches would hold up the loads between them.
  const int32_t lines = int32_t(strip.next_bytes / 64);
  const int32_t ahead_step = 64 * most(1, least(4, (4 * lines + blocks * strip.depth - 1) / (blocks * strip.depth)));
  const int32_t step = halves && strip.rows <= 4 * block_rows ? short_depth_step / strip.panels : depth_step;
  for (int32_t k = 0; k < strip.depth; k += step) {
    const int32_t depth = least(step, strip.depth - k);
    const float* weights = f32(strip.packed) + int64_t(k) * panel_width;
    int64_t weights_stride = one / int64_t(sizeof(float));
    if (halves) {
      for (int32_t i = 0; i < strip.panels; i++) {
        const uint16_t* panel = reinterpret_cast<const uint16_t*>(strip.packed + i * one);
        widen_f16(panel + int64_t(k) * panel_width, strip.widened + i * step * panel_width,
                  int64_t(depth) * panel_width);
      }
      weights = strip.widened;
      weights_stride = step * panel_width;
    }
    const bool ends = k + depth == strip.depth;
    const float* column_scales = f32(strip.packed) + one / int64_t(sizeof(float)) - panel_width;
    int32_t row = 0;
    for (int32_t i = 0; i < blocks; i++) {
      const int32_t rows = least_rows + (i < longer ? 1 : 0);
      const bool fetch = fetched < strip.next_bytes;
      float* sums = strip.sums + (step < strip.depth ? row * sums_stride : 0);
      multiply_block<Terms>({strip.a + row * strip.a_stride + k, strip.a_stride, weights, weights_stride, depth, sums,
                             sums_stride, strip.packed + (fetch ? bytes + fetched : 0), fetch ? ahead_step : 0, k != 0,
                             Terms::whole && ends ? strip.scales + row : nullptr, column_scales},
                            rows, strip.panels);
      // Block by block: what it stores drains from the core while the next block computes.
      if (ends) finish_block(strip, row, rows, sums);
      fetched += depth / 4 * ahead_step;
      row += rows;
    }
  }
}

void float_product(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  const int64_t one = panel_bytes(p.panel_type, p.depth), stride = row_stride(p.depth);
  float* sums = f32(p.scratch);
  float* widened = sums + rows_at_once * block_panels * panel_width;
  for (int32_t panel = panel_begin; panel < panel_end; panel += block_panels) {
    const int32_t panels = least(block_panels, panel_end - panel);
    const char* packed = static_cast<const char*>(p.panels) + panel * one;
    for (int32_t row = row_begin; row < row_end; row += rows_at_once) {
      const int32_t next = row == row_begin ? least(block_panels, panel_end - panel - panels) : 0;
      multiply_strip<Floats>({p, panel, panels, packed, next * one, row, least(rows_at_once, row_end - row),
                              f32(p.a) + row * stride, stride, p.depth, sums, widened, nullptr});
    }
  }
}

// ---- products of bytes ----

// Bytes from one quantised row to the next; see row_stride.
INLAY_INLINE int64_t quantised_stride(int32_t depth) { return ((depth + 63) / 64 | 1) * int64_t(64); }

INLAY_INLINE float largest_magnitude(const float* row, int32_t columns) {
  Vec tops[4] = {zero(), zero(), zero(), zero()};
  int32_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) tops[v] = max(tops[v], abs(load(row + c + v * lanes)));
  }
  for (; c < columns; c += lanes) tops[0] = max(tops[0], abs(load_first(row + c, least(lanes, columns - c))));
  return largest(max(max(tops[0], tops[1]), max(tops[2], tops[3])));
}

constexpr float row_range = 127;
// Values below this are as good as zero, and their inverse would not be finite.
constexpr float least_magnitude = 1e-30f;

// `in` has zeros up to its padded width. A value that is no number makes the scale none, and so every sum.
INLAY_INLINE RowScale quantise_row(const float* in, int32_t depth, int8_t* out) {
  const float top = largest_magnitude(in, depth);
  const bool zeros = top < least_magnitude;
  const Vec factor = set1(zeros ? 0.0f : row_range / top);
  Vec total = zero();
  for (int32_t c = 0; c < padded_columns(depth); c += lanes) {
    const Vec x = round(mul(load(in + c), factor));
    total = add(total, x);
    store_bytes(out + c, x);
  }
  const float all = sum(total);
  if (all != all) return {all, 0};
  return {zeros ? 0.0f : top / row_range, weight_offset * int32_t(all)};
}

void int8_product(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  const int64_t one = panel_bytes(PanelType::int8, p.depth);
  const int64_t from_stride = row_stride(p.depth), stride = quantised_stride(p.depth);
  float* sums = f32(p.scratch);
  RowScale* scales = reinterpret_cast<RowScale*>(sums + rows_at_once * block_panels * panel_width);
  int8_t* rows = reinterpret_cast<int8_t*>(scales + rows_at_once);
  for (int32_t row = row_begin; row < row_end; row += rows_at_once) {
    const int32_t count = least(rows_at_once, row_end - row);
    for (int32_t r = 0; r < count; r++) {
      scales[r] = quantise_row(f32(p.a) + (row + r) * from_stride, p.depth, rows + r * stride);
    }
    for (int32_t panel = panel_begin; panel < panel_end; panel += block_panels) {
      const int32_t panels = least(block_panels, panel_end - panel);
      const int32_t next = least(block_panels, panel_end - panel - panels);
      multiply_strip<Quads>({p, panel, panels, static_cast<const char*>(p.panels) + panel * one, next * one, row, count,
                             reinterpret_cast<const float*>(rows), stride / 4, quads_of(p.depth), sums, nullptr,
                             scales});
    }
  }
}

void product(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  if (p.panel_type == PanelType::int8) int8_product(p, row_begin, row_end, panel_begin, panel_end);
  else float_product(p, row_begin, row_end, panel_begin, panel_end);
}

uint64_t product_scratch(PanelType type, int32_t depth) {
  const uint64_t sums = uint64_t(rows_at_once) * block_panels * panel_width * sizeof(float);
  if (type == PanelType::int8) return sums + rows_at_once * (sizeof(RowScale) + uint64_t(quantised_stride(depth)));
  return sums + uint64_t(depth_step) * block_panels * panel_width * sizeof(float);
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

// Some columns' worth of quads at a time, quantised row by row and turned around.
void pack_int8(const float* rows, int32_t stride, int32_t depth, void* panel) {
  const int32_t quads = quads_of(depth);
  float* scales = f32(panel) + int64_t(quads) * panel_width;
  float factors[panel_width];
  for (int32_t n = 0; n < panel_width; n++) {
    const float top = largest_magnitude(rows + int64_t(n) * stride, depth);
    const bool zeros = top < least_magnitude;
    scales[n] = zeros ? 0.0f : top / float(weight_range);
    factors[n] = zeros ? 0.0f : float(weight_range) / top;
  }
  const Vec offset = set1(float(weight_offset));
  alignas(64) float straight[panel_width * lanes], turned[lanes * panel_width];
  for (int32_t quad = 0; quad < quads; quad += lanes) {
    for (int32_t n = 0; n < panel_width; n++) {
      const float* row = rows + int64_t(n) * stride;
      int8_t* to = reinterpret_cast<int8_t*>(straight + n * lanes);
      for (int32_t i = 0; i < 4; i++) {
        const int32_t k = 4 * quad + i * lanes;
        const Vec x = load_first(row + (k < depth ? k : 0), most(0, least(lanes, depth - k)));
        store_bytes(to + i * lanes, add(round(mul(x, set1(factors[n]))), offset));
      }
    }
    for (int32_t n = 0; n < panel_width; n += lanes) {
      transpose_square(straight + n * lanes, lanes, turned + n, panel_width);
    }
    __builtin_memcpy(f32(panel) + int64_t(quad) * panel_width, turned,
                     uint64_t(least(lanes, quads - quad)) * panel_width * sizeof(float));
  }
}

}  // namespace
}  // namespace inlay::kernels
