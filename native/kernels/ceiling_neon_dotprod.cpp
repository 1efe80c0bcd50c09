#include <arm_neon.h>

#define INLAY_ANY_REGISTER "+w"
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {

int64_t ceiling_neon_dotprod(int64_t steps) {
  const int8x16_t weights = vdupq_n_s8(3), x = vdupq_n_s8(-1);
  ceiling_steps(steps, vdupq_n_s32(0), [weights, x](int32x4_t sum) { return vdotq_s32(sum, weights, x); });
  return ceiling_chains * 16 * 2;
}

}  // namespace inlay::kernels
