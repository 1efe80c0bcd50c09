#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/vec_rows.h"

// The kernels of the f32_rows layout over the vectors of one instruction set. The file of that set includes first
// vec_<set>.h (Vec, lanes, panel_vectors, block_rows, block_panels and the operations), then vec_math.h, then this, and
// defines a table of the functions below. All of it is in an unnamed namespace: see kernels.h.
//
// The heart is `multiply`: a block of rows of `a` times one panel, or half as many times two, all sums in registers for
// the whole depth. So each sum is one chain of fused multiply-adds over k = 0, 1, 2, ..., however many rows share the
// block. Panels stay in the outer loop and rows in the inner one: a panel is read from memory once and then from the
// L1 or L2 cache.
namespace inlay::kernels {
namespace {

constexpr int32_t panel_width = panel_vectors * lanes;
static_assert(32 % panel_width == 0 && panel_vectors % 2 == 0, "a gated panel splits between vectors");

// ---- products ----

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
constexpr Multiply multiplies[] = {
    multiply<1, 1>, multiply<2, 1>, multiply<3, 1>, multiply<4, 1>, multiply<5, 1>, multiply<6, 1>,
#if defined(INLAY_TWO_PANELS)
    multiply<7, 1>, multiply<8, 1>, multiply<9, 1>, multiply<10, 1>, multiply<11, 1>, multiply<12, 1>,
    // of two panels
    multiply<1, 2>, multiply<2, 2>, multiply<3, 2>, multiply<4, 2>, multiply<5, 2>, multiply<6, 2>,
#endif
};
// Rows of a block that spans so many panels.
constexpr int32_t rows_of(int32_t panels) { return block_rows / panels; }
static_assert(sizeof(multiplies) / sizeof(multiplies[0]) == block_rows + (block_panels > 1 ? rows_of(2) : 0),
              "one function for every number of rows");

INLAY_INLINE void multiply_block(const Block& block, int32_t rows, int32_t panels) {
  multiplies[(panels - 1) * block_rows + rows - 1](block);
}

// What becomes of the sums of some rows and one panel, at `row` and `panel` of the result.
template <typename Finish>
INLAY_INLINE void finish_rows(const float* sums, int64_t sums_stride, const float* bias, int32_t rows, float* out, int64_t out_stride,
                              Finish finish) {
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
INLAY_INLINE void finish_gated_rows(const float* sums, int64_t sums_stride, const float* bias, int32_t rows, float* out, int64_t out_stride,
                                    Activation activation) {
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
        widen_f16(panel + int64_t(k) * panel_width, strip.widened + i * step * panel_width, int64_t(depth) * panel_width);
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

// ---- rows ----

void norm(const Norm& p, int32_t row_begin, int32_t row_end) {
  const int64_t stride = row_stride(p.columns);
  norm_rows(p, row_begin, row_end, [&p, stride](int32_t m, int32_t c, const Vec(&y)[32 / lanes]) {
    float* activation = f32(p.activation) + m * stride + c;
#pragma GCC unroll 8
    for (int v = 0; v < 32 / lanes; v++) store(activation + v * lanes, y[v]);
  });
}

void convert(const float* in, void* activation, int32_t columns, int32_t row_begin, int32_t row_end) {
  const int64_t stride = row_stride(columns);
  __builtin_memcpy(f32(activation) + row_begin * stride, in + row_begin * stride,
                   uint64_t(row_end - row_begin) * uint64_t(stride) * sizeof(float));
}

void heads(const HeadPass& p, int32_t row_begin, int32_t row_end) {
  const int64_t stride = row_stride(p.columns);
  for (int32_t m = row_begin; m < row_end; m++) {
    float* head = f32(p.activation) + m * stride + p.first_column;
    for (int32_t h = 0; h < p.heads; h++) pass_head(p, head + h * p.head_size, row_rotations(p, m));
  }
}

// ---- attention ----

// Queries of one pass over the keys. More of them read a panel of keys once from a farther cache, and need more
// memory for their scores, which is kept to about a quarter of a megabyte; at least one block.
INLAY_INLINE int32_t query_rows(int32_t count) {
  const int32_t fit = 65536 / round_up(count, 32) / block_rows * block_rows;
  return most(block_rows, least(4 * block_rows, fit));
}

INLAY_INLINE int64_t score_stride(int32_t count) { return round_up(count, 32) + 16; }

uint64_t attention_scratch(int32_t head_size, int32_t count) {
  const uint64_t keys = uint64_t(round_up(count, 32));
  const uint64_t values = keys * uint64_t(head_size) + keys * uint64_t(round_up(head_size, 32)) +
                          uint64_t(query_rows(count)) * uint64_t(score_stride(count));
  return values * sizeof(float);
}

struct PackedHead {
  float* keys;    // panels [head_size][panel_width] of keys
  float* values;  // panels [keys][panel_width] of columns
  float* scores;  // [query_rows][score_stride]
  int64_t score_stride;
  KeyRange range;
};

void pack_keys(const float* k, int64_t stride, const PackedHead& head, int32_t head_size) {
  for (int32_t key = head.range.begin; key < head.range.end; key += lanes) {
    const int32_t at = key - head.range.begin;
    float* out = head.keys + int64_t(at / panel_width) * head_size * panel_width + at % panel_width;
    int32_t i = 0;
    if (key + lanes <= head.range.end) {
      for (; i + lanes <= head_size; i += lanes) {
        transpose_square(k + key * stride + i, stride, out + int64_t(i) * panel_width, panel_width);
      }
    }
    const int32_t there = least(lanes, head.range.end - key);
    for (; i < head_size; i++) {
      for (int32_t j = 0; j < lanes; j++) out[i * panel_width + j] = j < there ? k[(key + j) * stride + i] : 0.0f;
    }
  }
  // The last panel may end with vectors of no key at all.
  const int32_t keys = head.range.end - head.range.begin;
  for (int32_t at = round_up(keys, lanes); at < round_up(keys, panel_width); at += lanes) {
    float* out = head.keys + int64_t(at / panel_width) * head_size * panel_width + at % panel_width;
    for (int32_t i = 0; i < head_size; i++) store(out + i * panel_width, zero());
  }
}

void pack_values(const float* v, int64_t stride, const PackedHead& head, int32_t head_size) {
  const int32_t keys = head.range.end - head.range.begin;
  for (int32_t c = 0; c < head_size; c += lanes) {
    const int32_t n = least(lanes, head_size - c);
    float* out = head.values + int64_t(c / panel_width) * keys * panel_width + c % panel_width;
    const float* in = v + head.range.begin * stride + c;
    for (int32_t key = 0; key < keys; key++) {
      store(out + int64_t(key) * panel_width, load_first(in + key * stride, n));
    }
  }
  if (round_up(head_size, lanes) < round_up(head_size, panel_width)) {
    const int32_t c = round_up(head_size, lanes);
    for (int32_t w = c; w < round_up(head_size, panel_width); w += lanes) {
      float* out = head.values + int64_t(w / panel_width) * keys * panel_width + w % panel_width;
      for (int32_t key = 0; key < keys; key++) store(out + int64_t(key) * panel_width, zero());
    }
  }
}

// 2^x for x <= 0 within 2 units in the last place; 2^-126 and below become about that. Minimax like vec_math.h's.
INLAY_INLINE Vec power_of_two(Vec x) {
  const Vec clamped = max(x, set1(-126.0f));
  const Vec n = round(clamped);
  const Vec f = sub(clamped, n);
  Vec p = fma(set1(0.0013264724984765053f), f, set1(0.009671514853835106f));
  p = fma(p, f, set1(0.05550733953714371f));
  p = fma(p, f, set1(0.24022242426872253f));
  p = fma(p, f, set1(0.6931470036506653f));
  return scale_by_power_of_two(fma(p, f, set1(1.0f)), n);
}

// Scores of the keys from key_begin on into weights e^(score - highest), zero for keys the query does not see and up to
// the next multiple of panel_width after key_end. Returns the sum of the weights.
float weigh(const Attention& p, float* scores, int32_t query, int32_t head, int32_t key_begin, int32_t key_end) {
  constexpr float log2_e = 1.44269504f;
  const int32_t padded = round_up(key_end - key_begin, panel_width);
  int32_t low = 0, high = p.count - 1;  // the keys it sees
  if (p.span == Span::causal) high = query;
  if (p.span == Span::window) {
    low = query - p.window;
    high = least(query + p.window, high);
  }
  // Vectors from `inside` to `outside` hold seen keys alone.
  const int32_t inside = round_up(most(0, low - key_begin), lanes);
  const int32_t outside = (high + 1 - key_begin) / lanes * lanes;
  const Vec lowest_key = set1(float(low)), highest_key = set1(float(high));
  const Vec lowest = set1(-3.4e38f), scale = set1(p.scale * log2_e);
  const auto keys_at = [key_begin](int32_t i) { return add(ramp(), set1(float(key_begin + i))); };

  const bool biased = p.slopes != nullptr;
  const Vec slope = set1(biased ? p.slopes[head] * log2_e : 0.0f), at = set1(float(query));
  Vec best = lowest;
  for (int32_t i = 0; i < padded; i += lanes) {
    Vec x = load(scores + i);
    if (biased) {
      x = fnma(slope, abs(sub(keys_at(i), at)), mul(x, scale));
      store(scores + i, x);
    }
    best = max(best, i >= inside && i < outside ? x : where_within(keys_at(i), lowest_key, highest_key, x, lowest));
  }
  // Without a bias the scale joins the subtraction; it is positive, so the highest stays the highest.
  const Vec factor = biased ? set1(1.0f) : scale;
  const Vec highest = mul(set1(largest(best)), factor);
  Vec total = zero();
  for (int32_t i = 0; i < padded; i += lanes) {
    Vec weight = power_of_two(fma(load(scores + i), factor, sub(zero(), highest)));
    if (i < inside || i >= outside) weight = where_within(keys_at(i), lowest_key, highest_key, weight, zero());
    store(scores + i, weight);
    total = add(total, weight);
  }
  return sum(total);
}

void attend(const Attention& p, const PackedHead& packed, int32_t head, int32_t query_begin, int32_t query_end) {
  const int64_t stride = row_stride((p.heads + 2 * p.kv_heads) * p.head_size);
  const int64_t out_stride = row_stride(p.heads * p.head_size);
  const float* q = f32(p.qkv) + p.first_row * stride + int64_t(head) * p.head_size;
  float* out = f32(p.out) + int64_t(p.out_row) * out_stride + int64_t(head) * p.head_size;
  const KeyRange range = seen_keys(p, query_begin, query_end, panel_width);
  const int32_t first_panel = (range.begin - packed.range.begin) / panel_width;
  const int32_t panels = round_up(range.end - range.begin, panel_width) / panel_width;
  const int32_t packed_keys = packed.range.end - packed.range.begin;
  for (int32_t panel = 0; panel < panels; panel += block_panels) {
    const float* keys = packed.keys + int64_t(first_panel + panel) * p.head_size * panel_width;
    const int32_t together = least(block_panels, panels - panel);
    for (int32_t query = query_begin; query < query_end; query += rows_of(together)) {
      multiply_block({q + query * stride, stride, keys, p.head_size * panel_width, p.head_size,
                      packed.scores + (query - query_begin) * packed.score_stride + panel * panel_width,
                      packed.score_stride, reinterpret_cast<const char*>(keys), 0, false},
                     least(rows_of(together), query_end - query), together);
    }
  }
  float inverse[4 * block_rows];
  for (int32_t query = query_begin; query < query_end; query++) {
    float* scores = packed.scores + (query - query_begin) * packed.score_stride;
    inverse[query - query_begin] = 1.0f / weigh(p, scores, query, head, range.begin, range.end);
  }
  alignas(64) float sums[block_rows * panel_width];
  int32_t together = 1;
  for (int32_t column = 0; column < p.head_size; column += together * panel_width) {
    together = least(block_panels, (p.head_size - column + panel_width - 1) / panel_width);
    const int32_t width = together * panel_width;
    const float* values = packed.values + int64_t(column / panel_width) * packed_keys * panel_width +
                          int64_t(range.begin - packed.range.begin) * panel_width;
    for (int32_t query = query_begin; query < query_end; query += rows_of(together)) {
      const int32_t rows = least(rows_of(together), query_end - query);
      multiply_block({packed.scores + (query - query_begin) * packed.score_stride, packed.score_stride, values,
                      int64_t(packed_keys) * panel_width, range.end - range.begin, sums, width,
                      reinterpret_cast<const char*>(values), 0, false},
                     rows, together);
      for (int32_t r = 0; r < rows; r++) {
        const Vec scale = set1(inverse[query - query_begin + r]);
        for (int32_t c = column; c < least(column + width, p.head_size); c += lanes) {
          store_first(out + (query + r) * out_stride + c, mul(load(sums + r * width + c - column), scale),
                      least(lanes, p.head_size - c));
        }
      }
    }
  }
}

void attention(const Attention& p, int32_t kv_head, int32_t query_begin, int32_t query_end) {
  const int64_t stride = row_stride((p.heads + 2 * p.kv_heads) * p.head_size);
  const float* rows = f32(p.qkv) + p.first_row * stride;
  const float* k = rows + int64_t(p.heads + kv_head) * p.head_size;
  const float* v = k + int64_t(p.kv_heads) * p.head_size;
  PackedHead packed;
  const int64_t padded = round_up(p.count, 32);
  packed.keys = f32(p.scratch);
  packed.values = packed.keys + padded * p.head_size;
  packed.scores = packed.values + padded * round_up(p.head_size, 32);
  packed.score_stride = score_stride(p.count);
  packed.range = seen_keys(p, query_begin, query_end, panel_width);
  pack_keys(k, stride, packed, p.head_size);
  pack_values(v, stride, packed, p.head_size);
  const int32_t group = p.heads / p.kv_heads;
  const int32_t step = query_rows(p.count);
  for (int32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
    for (int32_t query = query_begin; query < query_end; query += step) {
      attend(p, packed, head, query, least(query + step, query_end));
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
