#include "engine/fused/rotations.h"

#include <algorithm>
#include <cmath>

namespace inlay::fused {

Rotations::Rotations(int32_t context, int32_t rotated, float base, float scale)
    : context(context), rotated(rotated), rotary_base(base), scale(scale),
      memory(uint64_t(context) * uint64_t(rotated) * sizeof(float)) {}

void Rotations::fill(int32_t count) {
  const std::lock_guard<std::mutex> lock(filling);
  const int32_t half = rotated / 2;
  float* table = static_cast<float*>(memory.data());
  for (; filled < std::min(count, context); filled++) {
    float* row = table + int64_t(filled) * rotated;
    for (int32_t i = 0; i < half; i++) {
      const double frequency = std::pow(double(rotary_base), -2.0 * i / rotated);
      const double angle = double(filled) * double(scale) * frequency;
      row[i] = float(std::cos(angle));
      row[half + i] = float(std::sin(angle));
    }
  }
}

}  // namespace inlay::fused
