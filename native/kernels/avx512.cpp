#include "kernels/vec_avx512.h"
#include "kernels/vec_math.h"
#include "kernels/f32_kernels.h"
#include "kernels/tables.h"

namespace inlay::kernels {

const Kernels avx512_kernels = {
    Isa::avx512, "avx512", Layout::f32_rows, panel_width, true, nullptr, nullptr, pack, pack_f16, pack_int8, widen_f16,
    product, norm, convert, heads, attention, mean, product_scratch, attention_scratch,
};

}  // namespace inlay::kernels
