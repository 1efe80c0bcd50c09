#pragma once

#include <immintrin.h>

// Stands in for the header of the same name in native/: AVX512-BF16's instructions by those of AVX-512, after the
// operation sections of VCVTNE2PS2BF16 and VDPBF16PS in Intel's Software Developer's Manual, volume 2. Both treat
// denormal operands as zero and flush denormal results to zero, whatever MXCSR says.
namespace inlay::kernels {
namespace {

inline __m512 flush_denormals(__m512 x) {
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(int(0x80000000)));
  const __mmask16 denormal = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(0x1p-126f), _CMP_LT_OQ);
  return _mm512_mask_mov_ps(x, denormal, _mm512_castsi512_ps(sign));
}

inline __m256i narrow_half(__m512 value) {
  const __m512i x = _mm512_castps_si512(flush_denormals(value));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(x, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(x, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(x, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}

inline __m512i narrow(__m512 low, __m512 high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(narrow_half(low)), narrow_half(high), 1);
}

inline __m512 even_of_pairs(__m512i x) { return flush_denormals(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16))); }

inline __m512 odd_of_pairs(__m512i x) {
  return flush_denormals(_mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(int(0xffff0000)))));
}

inline __m512 flushing_fma(__m512 a, __m512 b, __m512 sum) { return flush_denormals(_mm512_fmadd_ps(a, b, sum)); }

inline __m512 add_dots(__m512 sum, __m512i a, __m512i b) {
  sum = flushing_fma(odd_of_pairs(a), odd_of_pairs(b), flush_denormals(sum));
  return flushing_fma(even_of_pairs(a), even_of_pairs(b), sum);
}

}  // namespace
}  // namespace inlay::kernels
