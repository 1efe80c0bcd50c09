#pragma once

#include <cstdint>

#include "gguf/reader.h"

namespace inlay::fused {

// True where dequantise() knows the type.
bool is_dequantisable(gguf::TensorType type);

// `count` values of a row, a multiple of the type's block, to floats. The arithmetic is ggml's, so that the values
// are the ones every other reader of the file computes with: the product of the scales first, then the whole number.
void dequantise(gguf::TensorType type, const void* row, float* out, int64_t count);

// IEEE 754 binary16 to binary32, exactly.
float half_to_float(uint16_t half);

// False where a value is infinite or not a number.
bool all_finite(const float* values, int64_t count);
bool all_finite_halves(const uint16_t* halves, int64_t count);

}  // namespace inlay::fused
