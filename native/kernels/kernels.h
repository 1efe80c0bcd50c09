#pragma once

#include <cstddef>
#include <cstdint>

// The compute kernels of the fused engine: one table of functions per instruction set, chosen once per process.
//
// This header is included by files compiled for different instruction sets. Everything in it that has a body is
// `static`, so that no function compiled for a wide instruction set can be linked into code that runs without it;
// the files of the instruction sets themselves use no standard library templates for the same reason.
//
// What every table promises
//   Order of sums. A row of a result depends on that row of the input alone, bit for bit: not on how many rows there
//   are, where the row lies, which rows or panels share the call, or how callers split a range into calls. Products
//   add along the depth in one fixed order, first to last in the table's own steps; attention adds along the keys in
//   one fixed order counted from the sequence's first key.
//   Purity. No kernel allocates, locks, throws, or keeps state between calls; any may run on any number of threads
//   over ranges that do not overlap.
//   Padding. Columns between a matrix's width and its padded width are zero in every input, and a kernel that writes
//   a row leaves them zero. (Padding rows of bf16 tiles may hold any finite values.)
// and what they may rely on
//   Alignment. Matrices, panels, parameters and scratch start on 64 bytes. No pointers alias unless said.
//   Parameters (biases, norm weights) are padded with zeros to `padded_columns`.
//   Values are finite. Sizes fit in int32_t; sizes of whole matrices in bytes do not have to.
namespace inlay::kernels {

enum class Isa : int32_t { scalar, neon, neon_dotprod, avx2, avx512, avx512_vnni, avx512_bf16, amx_bf16 };

// Whether its table differs from the one before it in products of bytes alone.
static constexpr bool is_for_bytes(Isa isa) { return isa == Isa::neon_dotprod || isa == Isa::avx512_vnni; }

// How activations lie in memory.
//   f32_rows    float, row-major, `row_stride(columns)` floats from row to row.
//   bf16_tiles  bfloat16, tiles of 16 rows by 32 columns, 1 KB each: tile (r / 16, c / 32) is the
//               (r / 16 * padded_columns / 32 + c / 32)-th, and inside it row r % 16 is 32 consecutive values. A tile
//               is what one AMX tile register loads from consecutive cache lines.
enum class Layout : int32_t { f32_rows, bf16_tiles };

static constexpr int32_t tile_rows = 16, tile_columns = 32;
static constexpr int32_t tile_row_bytes = 64, tile_bytes = 1024;

static constexpr int32_t padded_columns(int32_t columns) { return (columns + 31) / 32 * 32; }

// Floats from one row of an f32 matrix to the next. An odd number of cache lines, so that a block of rows at one
// column never competes for one set of the L1 cache.
static constexpr int32_t row_stride(int32_t columns) { return padded_columns(columns) + 16; }

// What a product does with each sum s of row m and column n before storing it; b is the column's bias (0 without).
enum class Epilogue : int32_t {
  store,           // out[m][n] = s + b, an activation matrix
  store_f32,       // sums[m][n] = s + b, an f32 matrix
  add_f32,         // sums[m][n] += s + b
  gelu_erf,        // out[m][n] = gelu(s + b), x Phi(x)
  gelu_tanh,       // the same in its tanh form
  gated_silu,      // out[m][n] = silu(g) * u, and so on: see Product::gated
  gated_gelu_erf,
  gated_gelu_tanh,
};

static constexpr bool is_gated(Epilogue epilogue) { return epilogue >= Epilogue::gated_silu; }

// Weights lie in panels, each for `Kernels::panel_columns` output columns over the whole depth, one after another.
//   native  f32_rows: [depth][panel_columns] floats. bf16_tiles (panel_columns is 32): [padded depth / 32] steps of
//           two 1 KB tiles, columns 0-15 then 16-31, each [16 pairs of depth][16 columns][2] bfloat16.
//   f16     [depth][panel_columns] IEEE halves, for tables whose `f16_panels` is true: half the memory where the
//           model file itself holds halves; they widen to exactly the floats the native panel would hold.
//   int8    [depth / 4, rounded up][panel_columns][4] bytes, for tables that have `pack_int8`; then panel_columns float
//           scales. A column's scale is its largest magnitude over the table's own range, 63 at least, and its bytes
//           are w / scale, rounded to even, plus the table's own offset. A product with them quantises each row of its
//           input the same way to 127 without an offset, adds integers, exactly, and multiplies by both scales.
// Columns beyond the matrix's last, and depths beyond its depth, are zeros.
enum class PanelType : int32_t { native, f16, int8 };

// Of an int8 product, whose sums of 32 bits must hold depth * 255 * 127.
static constexpr int32_t largest_int8_depth = 65536;

// out = epilogue(a * weights^T + bias).
// Gated: the panels hold two matrices of `columns` columns each. In every panel the first panel_columns / 2 columns
// are of the gate g (the one that goes through the activation), the others of u, for the same output columns; so a
// panel gives panel_columns / 2 output columns. `bias`, where there is one, is interleaved like the panels.
struct Product {
  const void* a;         // activation matrix, rows by depth
  const void* panels;
  PanelType panel_type;
  const float* bias;     // in the order of the panels' columns; nullptr: none
  int32_t depth;
  int32_t columns;       // of the output
  Epilogue epilogue;
  void* out;             // activation matrix, rows by columns; unused by the f32 epilogues
  float* sums;           // f32 matrix, rows by columns; unused by the others
  void* scratch;         // `product_scratch` bytes, of this call alone
};

enum class NormKind : int32_t { layer, rms };

// y = (in - mean) / sqrt(variance + epsilon) * weight + bias   (layer)
// y = in / sqrt(mean square + epsilon) * weight                (rms)
struct Norm {
  NormKind kind;
  const float* in;       // f32 matrix
  float* out;            // f32 matrix, nullptr for none; may be `in`
  bool add;              // out += y instead of out = y; then `activation` gets y's sum too
  void* activation;      // activation matrix that gets what `out` gets, nullptr for none
  const float* weight;
  const float* bias;     // nullptr: none
  float epsilon;
  int32_t columns;
};

// RoPE turns pairs of a head's first `rotated` elements: (i, i + rotated / 2) or (2 i, 2 i + 1).
enum class Rotation : int32_t { none, halves, adjacent };

// In place on `heads` heads of `head_size` columns from `first_column` on: an RMS norm of each head, then RoPE.
struct HeadPass {
  void* activation;
  int32_t columns;           // of the whole matrix
  int32_t first_column;
  int32_t heads;
  int32_t head_size;
  const float* norm_weight;  // head_size, padded; nullptr: no norm
  float epsilon;
  Rotation rotation;
  int32_t rotated;           // even
  const float* rotations;    // [position][rotated]: rotated / 2 cosines, then as many sines
  const int32_t* positions;  // of each row
};

enum class Span : int32_t {
  full,
  causal,   // key <= query
  window,   // |query - key| <= window
};

// softmax(q k^T * scale + ALiBi) v of one sequence: rows first_row .. first_row + count - 1 of `qkv`, whose columns
// are heads * head_size of q, then kv_heads * head_size of k, then of v. Query head h reads key head
// h / (heads / kv_heads). ALiBi adds -slopes[h] * |query - key|.
struct Attention {
  const void* qkv;       // activation matrix
  int32_t first_row;
  int32_t count;
  int32_t heads;
  int32_t kv_heads;      // divides heads
  int32_t head_size;     // 1..256
  float scale;           // above zero
  Span span;
  int32_t window;
  const float* slopes;   // of each head; nullptr: none
  void* out;             // activation matrix of heads * head_size columns; not `qkv`
  int32_t out_row;       // query q's result goes to row out_row + q, which may be below zero for q = 0
  void* scratch;         // `attention_scratch` bytes, of this call alone
};

struct Kernels {
  Isa isa;
  const char* name;            // "avx512", as INLAY_ISA spells it
  Layout layout;
  int32_t panel_columns;       // 32 at most, even, divides 32
  bool f16_panels;

  // Bracket any use of `product` and `attention` on a thread: they load and release the tile configuration, which
  // other code on the same thread may want otherwise. They do not nest, and may be nullptr.
  void (*enter)();
  void (*leave)();

  // Packs panel_columns rows of `depth` floats, `stride` floats apart, into one panel.
  void (*pack)(const float* rows, int32_t stride, int32_t depth, void* panel);
  // The same from halves into a PanelType::f16 panel; nullptr where f16_panels is false.
  void (*pack_f16)(const uint16_t* rows, int32_t stride, int32_t depth, void* panel);
  // The same into a PanelType::int8 panel; nullptr for tables without integer products.
  void (*pack_int8)(const float* rows, int32_t stride, int32_t depth, void* panel);
  void (*widen_f16)(const uint16_t* in, float* out, int64_t count);

  // Rows row_begin..row_end - 1, panels panel_begin..panel_end - 1. With bf16_tiles row_begin is a multiple of 16,
  // and padding rows up to the next multiple after row_end may be written in `out`, never in `sums`.
  void (*product)(const Product&, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end);
  void (*norm)(const Norm&, int32_t row_begin, int32_t row_end);
  // Rows of an f32 matrix into an activation matrix.
  void (*convert)(const float* in, void* activation, int32_t columns, int32_t row_begin, int32_t row_end);
  void (*heads)(const HeadPass&, int32_t row_begin, int32_t row_end);
  // Query heads of one key head, for queries query_begin..query_end - 1 (counted in the sequence).
  void (*attention)(const Attention&, int32_t kv_head, int32_t query_begin, int32_t query_end);
  // out[c] = mean over rows row_begin..row_end - 1 of column c of an f32 matrix; adds first to last.
  void (*mean)(const float* matrix, int32_t columns, int32_t row_begin, int32_t row_end, float* out);

  uint64_t (*product_scratch)(PanelType, int32_t depth);
  // For any sequence of up to `count` tokens of heads of this size.
  uint64_t (*attention_scratch)(int32_t head_size, int32_t count);
};

enum class Precision : int32_t { f32, bf16, int8 };

// The widest table for products of a precision (f32: f32_rows; bf16: bf16_tiles; int8: with pack_int8) that this build
// has, that the CPU and the operating system allow, and that is no wider than INLAY_ISA says, where that environment
// variable is set (scalar | avx2 | avx512 | avx512-vnni | avx512-bf16 | amx-bf16 | neon | neon-dotprod).
// nullptr: there is none, or INLAY_ISA names an instruction set that is unknown, not built in or not of this CPU;
// `reason` then says which, a static string.
const Kernels* select(Precision precision, const char** reason);

// A certain table, nullptr where the build or the CPU lacks it. For tests.
const Kernels* find(Isa isa);

static inline uint64_t activation_bytes(Layout layout, int64_t rows, int32_t columns) {
  if (layout == Layout::f32_rows) return uint64_t(rows) * row_stride(columns) * sizeof(float);
  return uint64_t(rows + tile_rows - 1) / tile_rows * tile_rows * padded_columns(columns) * 2;
}

// Where a row of bf16_tiles begins, in the first of its tiles; column c is tile_bytes * (c / 32) + 2 * (c % 32) bytes
// on.
static inline char* tiled_row(const void* activation, int32_t columns, int64_t row) {
  const char* start = static_cast<const char*>(activation);
  const int32_t tiles = padded_columns(columns) / tile_columns;
  return const_cast<char*>(start) + row / tile_rows * tiles * tile_bytes + row % tile_rows * tile_row_bytes;
}

// Copies a row of an activation matrix into a row of another.
static inline void copy_row(Layout layout, int32_t columns, const void* from, int64_t from_row, void* to,
                            int64_t to_row) {
  if (layout == Layout::f32_rows) {
    const int64_t stride = row_stride(columns);
    __builtin_memcpy(static_cast<float*>(to) + to_row * stride, static_cast<const float*>(from) + from_row * stride,
                     uint64_t(stride) * sizeof(float));
    return;
  }
  const char* source = tiled_row(from, columns, from_row);
  char* target = tiled_row(to, columns, to_row);
  for (int32_t tile = 0; tile < padded_columns(columns) / tile_columns; tile++) {
    __builtin_memcpy(target + int64_t(tile) * tile_bytes, source + int64_t(tile) * tile_bytes, tile_row_bytes);
  }
}

static inline uint64_t panel_bytes(const Kernels& kernels, PanelType type, int32_t depth) {
  if (type == PanelType::f16) return uint64_t(depth) * kernels.panel_columns * 2;
  if (type == PanelType::int8) return uint64_t((depth + 3) / 4 + 1) * kernels.panel_columns * 4;
  if (kernels.layout == Layout::f32_rows) return uint64_t(depth) * kernels.panel_columns * sizeof(float);
  return uint64_t(padded_columns(depth)) * kernels.panel_columns * 2;
}

// Panels of a product with `columns` output columns.
static inline int32_t panel_count(const Kernels& kernels, int32_t columns, bool gated) {
  const int32_t width = gated ? kernels.panel_columns / 2 : kernels.panel_columns;
  return (columns + width - 1) / width;
}

}  // namespace inlay::kernels
