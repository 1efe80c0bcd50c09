#include <immintrin.h>

#define INLAY_ANY_REGISTER "+x"
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {

int64_t ceiling_avx2(int64_t steps) {
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  ceiling_steps(steps, y, [x, y](__m256 sum) { return _mm256_fmadd_ps(sum, x, y); });
  return ceiling_chains * 8 * 2;
}

}  // namespace inlay::kernels
