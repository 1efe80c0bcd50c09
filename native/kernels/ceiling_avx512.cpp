#include <immintrin.h>

#define INLAY_ANY_REGISTER "+v"
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {

int64_t ceiling_avx512(int64_t steps) {
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  ceiling_steps(steps, y, [x, y](__m512 sum) { return _mm512_fmadd_ps(sum, x, y); });
  return ceiling_chains * 16 * 2;
}

}  // namespace inlay::kernels
