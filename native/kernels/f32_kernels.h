#pragma once

#include <cstdint>

#include "kernels/f32_attention.h"
#include "kernels/f32_products.h"
#include "kernels/kernels.h"
#include "kernels/vec_rows.h"

// The kernels of the f32_rows layout over the vectors of one instruction set. The file of that set includes first
// vec_<set>.h (Vec, lanes, panel_vectors, block_rows, block_panels and the operations), then vec_math.h, then this, and
// defines a table of the functions below and in the two parts. All of it is in an unnamed namespace: see kernels.h.
namespace inlay::kernels {
namespace {

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

}  // namespace
}  // namespace inlay::kernels
