#include "kernels/bf16_instructions.h"

#define INLAY_ANY_REGISTER "+v"
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {

int64_t ceiling_avx512_bf16(int64_t steps) {
  const __m512i ones = _mm512_set1_epi32(0x3f803f80), small = _mm512_set1_epi32(0x3a833a83);
  ceiling_steps(steps, _mm512_setzero_ps(), [ones, small](__m512 sum) { return add_dots(sum, ones, small); });
  return ceiling_chains * 16 * 4;
}

}  // namespace inlay::kernels
