#include "kernels/amx_instructions.h"
#include "kernels/bf16_tiles.h"
#include "kernels/tables.h"

// Products on AMX tiles. Registers 0-3 hold sums, 4-7 what is multiplied. Each sum starts from its bias and takes the
// depth in steps of 32, first to last: TDPBF16PS adds up a step's even and its odd values apart, each in one chain,
// and adds the two to the sum together (Intel's Software Developer's Manual, volume 2). So neither the shape of a
// block nor what lies in its other rows changes a row's sums.
namespace inlay::kernels {
namespace {

void enter() {
  static constexpr TileConfiguration configuration;
  load_tile_configuration(configuration);
}

void leave() { release_tiles(); }

// The sums of a block, one of:
//   2 rows of tiles by 1 panel    registers 0 1
//                                           2 3
//   1 row of tiles by 2 panels    0 1 2 3
//   1 row of tiles by 1 panel     0 1
// Four products in flight cover the latency of one, and each tile loaded serves two.
enum class Shape { two_by_one, one_by_two, one_by_one };

// Where the operands of the next step lie. `a_below` is the second row of tiles, `panel_right` the second panel.
struct Operands {
  const char* a;
  const char* a_below;
  const char* panel;
  const char* panel_right;
};

template <Shape shape>
INLAY_INLINE void multiply_step(Operands& at) {
  load_tile<4>(at.a);
  load_tile<6>(at.panel);
  load_tile<7>(at.panel + tile_bytes);
  multiply_tiles<0, 4, 6>();
  multiply_tiles<1, 4, 7>();
  if constexpr (shape == Shape::two_by_one) {
    load_tile<5>(at.a_below);
    multiply_tiles<2, 5, 6>();
    multiply_tiles<3, 5, 7>();
  }
  if constexpr (shape == Shape::one_by_two) {
    load_tile<5>(at.panel_right);
    multiply_tiles<2, 4, 5>();
    load_tile<6>(at.panel_right + tile_bytes);
    multiply_tiles<3, 4, 6>();
  }
  at.a += tile_bytes;
  at.a_below += tile_bytes;
  at.panel += step_bytes;
  at.panel_right += step_bytes;
}

template <Shape shape>
INLAY_INLINE void zero_sums() {
  zero_tile<0>();
  zero_tile<1>();
  if constexpr (shape != Shape::one_by_one) {
    zero_tile<2>();
    zero_tile<3>();
  }
}

void multiply_panel(const char* a, int64_t a_stride, int32_t rows, const char* panel, int32_t steps, float* out,
                    int64_t out_stride) {
  Operands at = {a, a + a_stride, panel, panel};
  const int64_t stride = out_stride * int64_t(sizeof(float));
  if (rows <= tile_rows) {
    zero_sums<Shape::one_by_one>();
    for (int32_t step = 0; step < steps; step++) multiply_step<Shape::one_by_one>(at);
  } else {
    zero_sums<Shape::two_by_one>();
    for (int32_t step = 0; step < steps; step++) multiply_step<Shape::two_by_one>(at);
    store_tile<2>(out + tile_rows * out_stride, stride);
    store_tile<3>(out + tile_rows * out_stride + lanes, stride);
  }
  store_tile<0>(out, stride);
  store_tile<1>(out + lanes, stride);
}

}  // namespace
}  // namespace inlay::kernels

#include "kernels/bf16_attention.h"

namespace inlay::kernels {
namespace {

constexpr int32_t block_values = 2 * tile_rows * panel_width;

// A product on its way through the blocks. The tile unit works apart from the vector units, so the sums of a block
// are stored and become results, a few rows after each step, while the next block multiplies.
template <Epilogue epilogue>
class Pipeline {
 public:
  INLAY_INLINE Pipeline(const Product& product, int32_t row_end)
      : p(product), row_end(row_end), steps(steps_of(product.depth)),
        rows_per_step((2 * tile_rows + steps - 1) / steps) {}

  // Fetches `lines` cache lines from `next` on into the L2 cache with each step of the blocks to come.
  INLAY_INLINE void fetch(const char* next, int32_t lines) {
    ahead = next;
    lines_per_step = lines;
  }

  template <Shape shape>
  INLAY_INLINE void block(int32_t row, int32_t panel) {
    start_sums<shape>(panel);
    Operands at = {tiled_row(p.a, p.depth, row), tiled_row(p.a, p.depth, row + tile_rows), panel_start(panel),
                   panel_start(panel + 1)};
    Sums first = waiting[0], second = waiting[1];
    const char* fetched = ahead;
    for (int32_t step = 0; step < steps; step++) {
      multiply_step<shape>(at);
      for (int32_t i = 0; i < rows_per_step && first.rows > 0; i++) {
        finish_row<epilogue>(first);
        if (first.rows == 0) {
          first = second;
          second.rows = 0;
        }
      }
      for (int32_t i = 0; i < lines_per_step; i++) _mm_prefetch(fetched + i * tile_row_bytes, _MM_HINT_T1);
      fetched += lines_per_step * tile_row_bytes;
    }
    ahead = fetched;
    store_sums<shape>(row, panel);
  }

  // Finishes what the last block left.
  INLAY_INLINE void drain() {
    for (Sums& sums : waiting) {
      while (sums.rows > 0) finish_row<epilogue>(sums);
    }
  }

 private:
  INLAY_INLINE const char* panel_start(int32_t panel) const {
    return static_cast<const char*>(p.panels) + int64_t(panel) * steps * step_bytes;
  }

  template <Shape shape>
  INLAY_INLINE void start_sums(int32_t panel) {
    if (p.bias == nullptr) return zero_sums<shape>();
    const float* bias = p.bias + int64_t(panel) * panel_width;
    load_tile_row<0>(bias);
    load_tile_row<1>(bias + lanes);
    if constexpr (shape != Shape::one_by_one) {
      const float* other = shape == Shape::one_by_two ? bias + panel_width : bias;
      load_tile_row<2>(other);
      load_tile_row<3>(other + lanes);
    }
  }

  template <Shape shape>
  INLAY_INLINE void store_sums(int32_t row, int32_t panel) {
    constexpr int64_t stride = panel_width * sizeof(float);
    float* sums = buffers[turn];
    turn ^= 1;
    store_tile<0>(sums, stride);
    store_tile<1>(sums + lanes, stride);
    waiting[0] = place_sums(p, panel, row, row_end, sums);
    if constexpr (shape == Shape::one_by_one) {
      waiting[1].rows = 0;
    } else {
      store_tile<2>(sums + tile_rows * panel_width, stride);
      store_tile<3>(sums + tile_rows * panel_width + lanes, stride);
      const bool below = shape == Shape::two_by_one;
      waiting[1] = place_sums(p, below ? panel : panel + 1, below ? row + tile_rows : row, row_end,
                              sums + tile_rows * panel_width);
    }
  }

  const Product& p;
  const int32_t row_end;
  const int32_t steps;
  const int32_t rows_per_step;  // all of a block's rows within the steps of the next one
  const char* ahead = nullptr;
  int32_t lines_per_step = 0;
  int32_t turn = 0;
  Sums waiting[2] = {};
  alignas(64) float buffers[2][block_values];
};

// Two panels at a time, each against all pairs of rows of tiles; a row of tiles that is left over meets both panels
// in one block.
template <Epilogue epilogue>
void product_with(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  Pipeline<epilogue> pipeline(p, row_end);
  const int32_t tiles = (row_end - row_begin + tile_rows - 1) / tile_rows;
  const int32_t pairs_end = row_begin + tiles / 2 * 2 * tile_rows;
  const bool odd = tiles % 2 != 0;
  // Lines of two panels, spread over the steps of two panels. With few rows a step would have to fetch more lines
  // than it takes to multiply; then the panels are read once, in order, which the hardware's prefetcher follows.
  constexpr int32_t most_lines_per_step = 16;
  const int32_t blocks = tiles / 2 * 2 + (odd ? 1 : 0);
  const int32_t lines = (2 * step_bytes / tile_row_bytes + blocks - 1) / most(1, blocks);
  const int64_t panel_bytes = int64_t(steps_of(p.depth)) * step_bytes;
  for (int32_t panel = panel_begin; panel < panel_end; panel += 2) {
    const bool two = panel + 1 < panel_end;
    const bool more = panel + 2 < panel_end && lines <= most_lines_per_step;
    pipeline.fetch(static_cast<const char*>(p.panels) + (panel + 2) * panel_bytes, more ? lines : 0);
    for (int32_t i = panel; i < panel + (two ? 2 : 1); i++) {
      for (int32_t row = row_begin; row < pairs_end; row += 2 * tile_rows) {
        pipeline.template block<Shape::two_by_one>(row, i);
      }
    }
    if (!odd) continue;
    if (two) pipeline.template block<Shape::one_by_two>(pairs_end, panel);
    else pipeline.template block<Shape::one_by_one>(pairs_end, panel);
  }
  pipeline.drain();
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

const Kernels amx_bf16_kernels = {
    Isa::amx_bf16, "amx-bf16", Layout::bf16_tiles, panel_width, false, enter, leave, pack, nullptr, nullptr, widen_f16,
    product, norm, convert, heads, attention, mean, product_scratch, attention_scratch,
};

}  // namespace inlay::kernels
