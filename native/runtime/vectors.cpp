#include "runtime/vectors.h"

#include <cmath>

namespace inlay {

VectorFault write_vector(const float* vector, int32_t dimensions, bool normalize, float* row) {
  double sum = 0;
  for (int32_t i = 0; i < dimensions; i++) sum += static_cast<double>(vector[i]) * vector[i];
  // Squares of finite floats stay finite in float64, so one test covers every element.
  if (!std::isfinite(sum)) return VectorFault::not_finite;
  if (!normalize) {
    for (int32_t i = 0; i < dimensions; i++) row[i] = vector[i];
    return VectorFault::none;
  }
  if (sum <= 0) return VectorFault::zero;
  const double scale = 1 / std::sqrt(sum);
  for (int32_t i = 0; i < dimensions; i++) row[i] = static_cast<float>(vector[i] * scale);
  return VectorFault::none;
}

}  // namespace inlay
