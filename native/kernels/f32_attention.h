#pragma once

#include <cstdint>

#include "kernels/f32_products.h"

// Attention of the f32_rows layout; see f32_kernels.h. Keys and values are packed as panels once for a head's queries,
// so that scores and sums are blocks of the products.
namespace inlay::kernels {
namespace {

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
      multiply_block<Floats>({q + query * stride, stride, keys, p.head_size * panel_width, p.head_size,
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
      multiply_block<Floats>({packed.scores + (query - query_begin) * packed.score_stride, packed.score_stride, values,
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
