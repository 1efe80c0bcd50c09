#include <arm_neon.h>

#define INLAY_ANY_REGISTER "+w"
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {

int64_t ceiling_neon(int64_t steps) {
  const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
  ceiling_steps(steps, y, [x, y](float32x4_t sum) { return vfmaq_f32(y, sum, x); });
  return ceiling_chains * 4 * 2;
}

}  // namespace inlay::kernels
