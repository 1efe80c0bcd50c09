#pragma once

#include <cstdint>

#include "kernels/kernels.h"

// Work on single rows of floats that every layout needs, over the vectors of vec_<set>.h, which comes first. All of
// it is in an unnamed namespace: see kernels.h.
namespace inlay::kernels {
namespace {

#define INLAY_INLINE inline __attribute__((always_inline))

INLAY_INLINE const float* f32(const void* matrix) { return static_cast<const float*>(matrix); }
INLAY_INLINE float* f32(void* matrix) { return static_cast<float*>(matrix); }
INLAY_INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
INLAY_INLINE int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
INLAY_INLINE int32_t round_up(int32_t n, int32_t to) { return (n + to - 1) / to * to; }

void widen_f16(const uint16_t* in, float* out, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, load_halves(in + i));
  for (; i < count; i++) out[i] = widen_half(in[i]);
}

// ---- norms ----

// Sums over a row run in four vectors, column c in vector c / lanes % 4, which are added pairwise at the end.
template <typename Term>
INLAY_INLINE float row_sum(const float* row, int32_t columns, Term term) {
  Vec sums[4] = {zero(), zero(), zero(), zero()};
  int32_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) sums[v] = add(sums[v], term(load(row + c + v * lanes)));
  }
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++, c += lanes) {
    if (c >= columns) break;
    const int32_t n = least(lanes, columns - c);
    sums[v] = add(sums[v], keep_first(term(load_first(row + c, n)), n));
  }
  return sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

INLAY_INLINE float inverse_root(float mean_square, float epsilon) {
  return 1.0f / __builtin_sqrtf(mean_square + epsilon);
}

// `activate(m, c, y)` takes the 32 results of row m from column c on to the activation matrix, where there is one.
template <typename Activate>
INLAY_INLINE void norm_rows(const Norm& p, int32_t row_begin, int32_t row_end, Activate activate) {
  const int64_t stride = row_stride(p.columns);
  const int32_t padded = padded_columns(p.columns);
  for (int32_t m = row_begin; m < row_end; m++) {
    const float* in = p.in + m * stride;
    float* out = p.out == nullptr ? nullptr : p.out + m * stride;
    float center = 0;
    if (p.kind == NormKind::layer) center = row_sum(in, p.columns, [](Vec x) { return x; }) / float(p.columns);
    const Vec mean = set1(center);
    const float squares = row_sum(in, p.columns, [mean](Vec x) {
      const Vec d = sub(x, mean);
      return mul(d, d);
    });
    const Vec scale = set1(inverse_root(squares / float(p.columns), p.epsilon));
    for (int32_t c = 0; c < padded; c += 32) {
      Vec y[32 / lanes];
#pragma GCC unroll 8
      for (int v = 0; v < 32 / lanes; v++) {
        const int32_t at = c + v * lanes;
        const Vec shift = p.bias == nullptr ? zero() : load(p.bias + at);
        y[v] = fma(mul(sub(load(in + at), mean), scale), load(p.weight + at), shift);
        if (p.add) y[v] = add(load(out + at), y[v]);
        if (out != nullptr) store(out + at, y[v]);
      }
      if (p.activation != nullptr) activate(m, c, y);
    }
  }
}

// ---- heads ----

void norm_head(float* head, int32_t size, const float* weight, float epsilon) {
  const float squares = row_sum(head, size, [](Vec x) { return mul(x, x); });
  const Vec scale = set1(inverse_root(squares / float(size), epsilon));
  for (int32_t i = 0; i < size; i += lanes) {
    const int32_t n = least(lanes, size - i);
    store_first(head + i, mul(mul(load_first(head + i, n), scale), load(weight + i)), n);
  }
}

void rotate_halves(float* head, const float* cosines, const float* sines, int32_t half) {
  for (int32_t i = 0; i < half; i += lanes) {
    const int32_t n = least(lanes, half - i);
    const Vec x = load_first(head + i, n), y = load_first(head + half + i, n);
    const Vec cosine = load_first(cosines + i, n), sine = load_first(sines + i, n);
    store_first(head + i, fnma(y, sine, mul(x, cosine)), n);
    store_first(head + half + i, fma(x, sine, mul(y, cosine)), n);
  }
}

void rotate_adjacent(float* head, const float* cosines, const float* sines, int32_t half) {
  for (int32_t i = 0; i < half; i++) {
    const float x = head[2 * i], y = head[2 * i + 1];
    head[2 * i] = __builtin_fmaf(-y, sines[i], x * cosines[i]);
    head[2 * i + 1] = __builtin_fmaf(x, sines[i], y * cosines[i]);
  }
}

void pass_head(const HeadPass& p, float* head, const float* cosines) {
  const int32_t half = p.rotated / 2;
  if (p.norm_weight != nullptr) norm_head(head, p.head_size, p.norm_weight, p.epsilon);
  if (p.rotation == Rotation::halves) rotate_halves(head, cosines, cosines + half, half);
  if (p.rotation == Rotation::adjacent) rotate_adjacent(head, cosines, cosines + half, half);
}

INLAY_INLINE const float* row_rotations(const HeadPass& p, int32_t row) {
  return p.rotation == Rotation::none ? nullptr : p.rotations + int64_t(p.positions[row]) * p.rotated;
}

// ---- attention ----

// Keys that a range of queries reads, from a multiple of `step` on so that a key's place in its panel is the same in
// every call.
struct KeyRange {
  int32_t begin;
  int32_t end;
};

INLAY_INLINE KeyRange seen_keys(const Attention& p, int32_t query_begin, int32_t query_end, int32_t step) {
  KeyRange range = {0, p.count};
  if (p.span == Span::causal) range.end = query_end;
  if (p.span == Span::window) {
    range.begin = most(0, query_begin - p.window) / step * step;
    range.end = least(p.count, query_end + p.window);
  }
  return range;
}

// ---- pooling ----

void mean(const float* matrix, int32_t columns, int32_t row_begin, int32_t row_end, float* out) {
  const int64_t stride = row_stride(columns);
  const Vec count = set1(float(row_end - row_begin));
  for (int32_t c = 0; c < columns; c += lanes) {
    Vec total = zero();
    for (int32_t m = row_begin; m < row_end; m++) total = add(total, load(matrix + m * stride + c));
    store_first(out + c, div(total, count), least(lanes, columns - c));
  }
}

}  // namespace
}  // namespace inlay::kernels
