#pragma once

#include <cstdint>

#include "kernels/bf16_tiles.h"

// Attention of the bf16_tiles layout. A sequence may start at any row and a head at any column, so each call copies
// the head's keys, values and queries into tiles that start with the sequence and the head: keys and values as the
// panels of products, of 32 keys over the head's columns and of 32 columns over the keys. The rest is two products
// with a softmax between them, 32 queries at a time, through `multiply_panel`, which the file of the instruction set
// defines before it includes this:
//
//   sums[r][n] = sum over depth of a[r] * panel[n] for the first `rows` <= 32 rows (more may be written) and 32 n
//
// A score's place in its panel and a weight's place in the sums over keys are those of the key in its sequence.
namespace inlay::kernels {
namespace {

constexpr int32_t query_rows = 2 * tile_rows;  // queries at a time

INLAY_INLINE int64_t score_row(int32_t count) { return padded_columns(count) + 16; }

// The parts of the scratch memory of one call.
struct HeadMemory {
  char* keys;      // panels of 32 keys: [head_size / 32] steps
  char* values;    // panels of 32 columns: [keys / 32] steps
  char* queries;   // two rows of tiles, [head_size / 32] each
  char* weights;   // two rows of tiles, [keys / 32] each
  float* scores;   // [query_rows][score_stride]
  int64_t score_stride;
};

HeadMemory divide(void* scratch, int32_t head_size, int32_t count) {
  const int64_t key_bytes = int64_t(padded_columns(count)) * padded_columns(head_size) * 2;
  HeadMemory memory;
  memory.keys = static_cast<char*>(scratch);
  memory.values = memory.keys + key_bytes;
  memory.queries = memory.values + key_bytes;
  memory.weights = memory.queries + query_rows * padded_columns(head_size) * 2;
  memory.scores = reinterpret_cast<float*>(memory.weights + int64_t(query_rows) * padded_columns(count) * 2);
  memory.score_stride = score_row(count);
  return memory;
}

uint64_t attention_scratch(int32_t head_size, int32_t count) {
  const uint64_t keys = uint64_t(padded_columns(count)), columns = uint64_t(padded_columns(head_size));
  return 2 * keys * columns * 2 + query_rows * (columns * 2 + keys * 2 + uint64_t(score_row(count)) * sizeof(float));
}

// A head's columns in the rows of one sequence.
struct HeadColumns {
  const void* activation;
  int32_t columns;
  int32_t first_row;
  int32_t first_column;
  int32_t size;
};

INLAY_INLINE __m512i head_values(const HeadColumns& head, int32_t token, int32_t column) {
  return load_columns(tiled_row(head.activation, head.columns, head.first_row + token), head.first_column + column,
                      least(tile_columns, head.size - column));
}

void pack_keys(const HeadColumns& head, KeyRange range, char* out) {
  const int32_t steps = steps_of(head.size);
  for (int32_t first = range.begin; first < range.begin + padded_columns(range.end - range.begin); first += tile_rows) {
    const int32_t at = first - range.begin;
    char* tile = out + int64_t(at / panel_width) * steps * step_bytes + at / tile_rows % 2 * tile_bytes;
    for (int32_t step = 0; step < steps; step++) {
      PairSquare square;
      for (int32_t r = 0; r < tile_rows; r++) {
        const bool there = first + r < range.end;
        square.set_row(r, there ? head_values(head, first + r, step * tile_columns) : _mm512_setzero_si512());
      }
      square.transpose(tile + step * step_bytes);
    }
  }
}

// Keys 2 r and 2 r + 1 of a column become the pair r of that column.
void pack_values(const HeadColumns& head, KeyRange range, char* out) {
  alignas(64) static constexpr uint16_t low_pairs[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(low_pairs);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  const int32_t pairs = padded_columns(range.end - range.begin) / 2;
  for (int32_t column = 0; column < head.size; column += panel_width) {
    for (int32_t pair = 0; pair < pairs; pair++) {
      const int32_t key = range.begin + 2 * pair;
      const __m512i a = key < range.end ? head_values(head, key, column) : _mm512_setzero_si512();
      const __m512i b = key + 1 < range.end ? head_values(head, key + 1, column) : _mm512_setzero_si512();
      char* to = out + pair / 16 * step_bytes + pair % 16 * tile_row_bytes;
      _mm512_store_si512(to, _mm512_permutex2var_epi16(a, low, b));
      _mm512_store_si512(to + tile_bytes, _mm512_permutex2var_epi16(a, high, b));
    }
    out += pairs / 16 * step_bytes;
  }
}

void pack_queries(const HeadColumns& head, int32_t query_begin, int32_t query_end, char* out) {
  const int32_t steps = steps_of(head.size);
  for (int32_t query = query_begin; query < query_end; query++) {
    const int32_t r = query - query_begin;
    char* row = out + r / tile_rows * steps * tile_bytes + r % tile_rows * tile_row_bytes;
    for (int32_t step = 0; step < steps; step++) {
      _mm512_store_si512(row + step * tile_bytes, head_values(head, query, step * tile_columns));
    }
  }
}

// Which of the 32 keys from `key` on lie within low..high.
INLAY_INLINE __mmask32 seen_of(int32_t key, int32_t low, int32_t high) {
  const int32_t end = most(0, least(tile_columns, high - key + 1));
  return first_32(end) & ~first_32(most(0, least(tile_columns, low - key)));
}

// Scores of the keys of `range` into weights 2^(score - highest), bfloat16, zero for keys that the query does not see
// and up to the next multiple of 32. Scores are taken in units of log2 e. Returns the sum of the weights before
// rounding: key k adds in lane k % 32.
float weigh(const Attention& p, float* scores, int32_t query, int32_t head, KeyRange range, char* weights) {
  constexpr float log2_e = 1.44269504f;
  int32_t low = 0, high = p.count - 1;
  if (p.span == Span::causal) high = query;
  if (p.span == Span::window) {
    low = query - p.window;
    high = least(query + p.window, p.count - 1);
  }
  const int32_t padded = padded_columns(range.end - range.begin);
  Vec scale = set1(p.scale * log2_e);
  if (p.slopes != nullptr) {
    const Vec slope = set1(p.slopes[head] * log2_e), step = set1(float(lanes));
    Vec away = sub(add(ramp(), set1(float(range.begin))), set1(float(query)));
    for (int32_t i = 0; i < padded; i += lanes) {
      store(scores + i, fnma(slope, abs(away), mul(load(scores + i), scale)));
      away = add(away, step);
    }
    scale = set1(1);
  }
  Vec best[2] = {set1(-3.4e38f), set1(-3.4e38f)};
  for (int32_t i = 0; i < padded; i += tile_columns) {
    const __mmask32 seen = seen_of(range.begin + i, low, high);
    best[0] = _mm512_mask_max_ps(best[0], __mmask16(seen), best[0], load(scores + i));
    best[1] = _mm512_mask_max_ps(best[1], __mmask16(seen >> 16), best[1], load(scores + i + lanes));
  }
  const Vec highest = mul(set1(largest(max(best[0], best[1]))), scale);
  Vec totals[2] = {zero(), zero()};
  for (int32_t i = 0; i < padded; i += tile_columns, weights += tile_bytes) {
    const __mmask32 seen = seen_of(range.begin + i, low, high);
    Vec weight[2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
      weight[v] = bf16_power_of_two(_mm512_fmsub_ps(load(scores + i + v * lanes), scale, highest));
      weight[v] = _mm512_maskz_mov_ps(__mmask16(seen >> 16 * v), weight[v]);
      totals[v] = add(totals[v], weight[v]);
    }
    _mm512_store_si512(weights, narrow(weight[0], weight[1]));
  }
  return sum(add(totals[0], totals[1]));
}

void attend(const Attention& p, const HeadMemory& memory, KeyRange packed, int32_t head, int32_t query_begin,
            int32_t query_end) {
  const int32_t rows = query_end - query_begin;
  const int32_t head_steps = steps_of(p.head_size);
  const KeyRange range = seen_keys(p, query_begin, query_end, panel_width);
  const int32_t key_steps = steps_of(range.end - range.begin), packed_steps = steps_of(packed.end - packed.begin);
  const int32_t first_step = (range.begin - packed.begin) / panel_width;
  for (int32_t step = 0; step < key_steps; step++) {
    multiply_panel(memory.queries, head_steps * tile_bytes, rows,
                   memory.keys + int64_t(first_step + step) * head_steps * step_bytes, head_steps,
                   memory.scores + step * panel_width, memory.score_stride);
  }
  float inverse[query_rows];
  for (int32_t r = 0; r < rows; r++) {
    char* weights = memory.weights + int64_t(r / tile_rows) * key_steps * tile_bytes + r % tile_rows * tile_row_bytes;
    inverse[r] = 1.0f / weigh(p, memory.scores + r * memory.score_stride, query_begin + r, head, range, weights);
  }
  const int32_t out_columns = p.heads * p.head_size;
  alignas(64) float sums[query_rows * panel_width];
  for (int32_t column = 0; column < p.head_size; column += panel_width) {
    multiply_panel(memory.weights, int64_t(key_steps) * tile_bytes, rows,
                   memory.values + (int64_t(column / panel_width) * packed_steps + first_step) * step_bytes, key_steps,
                   sums, panel_width);
    for (int32_t r = 0; r < rows; r++) {
      const Vec scale = set1(inverse[r]);
      const float* from = sums + r * panel_width;
      const __m512i values = narrow(mul(load(from), scale), mul(load(from + lanes), scale));
      store_columns(tiled_row(p.out, out_columns, int64_t(p.out_row) + query_begin + r), head * p.head_size + column,
                    least(panel_width, p.head_size - column), values);
    }
  }
  if (head + 1 < p.heads || out_columns % tile_columns == 0) return;
  for (int32_t r = 0; r < rows; r++) {
    store_columns(tiled_row(p.out, out_columns, int64_t(p.out_row) + query_begin + r), out_columns,
                  tile_columns - out_columns % tile_columns, _mm512_setzero_si512());
  }
}

void attention(const Attention& p, int32_t kv_head, int32_t query_begin, int32_t query_end) {
  const HeadMemory memory = divide(p.scratch, p.head_size, p.count);
  const KeyRange packed = seen_keys(p, query_begin, query_end, panel_width);
  HeadColumns columns = {p.qkv, (p.heads + 2 * p.kv_heads) * p.head_size, p.first_row,
                         (p.heads + kv_head) * p.head_size, p.head_size};
  pack_keys(columns, packed, memory.keys);
  columns.first_column += p.kv_heads * p.head_size;
  pack_values(columns, packed, memory.values);
  const int32_t group = p.heads / p.kv_heads;
  for (int32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
    columns.first_column = head * p.head_size;
    for (int32_t query = query_begin; query < query_end; query += query_rows) {
      const int32_t end = least(query + query_rows, query_end);
      pack_queries(columns, query, end, memory.queries);
      attend(p, memory, packed, head, query, end);
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
