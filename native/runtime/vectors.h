#pragma once

#include <cstdint>

namespace inlay {

enum class VectorFault { none, not_finite, zero };

// Writes the first `dimensions` of `vector`, scaled to norm 1 where `normalize` is set; the norm is summed in float64.
VectorFault write_vector(const float* vector, int32_t dimensions, bool normalize, float* row);

}  // namespace inlay
