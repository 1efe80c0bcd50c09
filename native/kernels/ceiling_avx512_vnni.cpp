#include <immintrin.h>

#define INLAY_ANY_REGISTER "+v"
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {

int64_t ceiling_avx512_vnni(int64_t steps) {
  const __m512i weights = _mm512_set1_epi8(3), x = _mm512_set1_epi8(-1);
  ceiling_steps(steps, weights, [weights, x](__m512i sum) { return _mm512_dpbusd_epi32(sum, weights, x); });
  return ceiling_chains * 64 * 2;
}

}  // namespace inlay::kernels
