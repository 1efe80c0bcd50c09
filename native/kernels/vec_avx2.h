#pragma once

#include <immintrin.h>

#include <cstdint>

// One vector of floats on AVX2 with FMA and F16C; see vec_avx512.h.
namespace inlay::kernels {
namespace {

using Vec = __m256;
constexpr int32_t lanes = 8;
constexpr int32_t panel_vectors = 2;  // 12 sums, two columns of weights and one value of the input: 15 of 16 registers
constexpr int32_t block_rows = 6;
constexpr int32_t block_panels = 1;

inline Vec set1(float x) { return _mm256_set1_ps(x); }
inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }

inline __m256i first(int32_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_first(const float* p, int32_t n) { return _mm256_maskload_ps(p, first(n)); }
inline void store_first(float* p, Vec v, int32_t n) { _mm256_maskstore_ps(p, first(n), v); }
inline Vec keep_first(Vec v, int32_t n) { return _mm256_and_ps(v, _mm256_castsi256_ps(first(n))); }

inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline Vec round(Vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// In two halves, as 2^n alone leaves the exponent's range where the product does not; n within -252..254.
inline Vec scale_by_power_of_two(Vec a, Vec n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i p = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i q = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
  return mul(mul(a, _mm256_castsi256_ps(p)), _mm256_castsi256_ps(q));
}
inline Vec ramp() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
inline Vec where_within(Vec x, Vec low, Vec high, Vec value, Vec other) {
  const Vec within = _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GE_OQ), _mm256_cmp_ps(x, high, _CMP_LE_OQ));
  return _mm256_blendv_ps(other, value, within);
}

inline float sum(Vec v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float largest(Vec v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

inline Vec load_halves(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline float widen_half(uint16_t half) { return _cvtsh_ss(half); }

constexpr int32_t weight_range = 63, weight_offset = 64;
inline Vec add_quads(Vec x, Vec weights, Vec sum) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_castps_si256(weights), _mm256_castps_si256(x));
  const __m256i quads = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum), quads));
}
inline Vec whole_less(Vec sums, int32_t offset) {
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_castps_si256(sums), _mm256_set1_epi32(offset)));
}
inline void store_bytes(int8_t* p, Vec v) {
  const __m256i whole = _mm256_cvtps_epi32(v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

inline void transpose_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m256 r[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) r[i] = load(in + i * in_stride);
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    store(out + i * out_stride, _mm256_permute2f128_ps(r[i], r[4 + i], 0x20));
    store(out + (4 + i) * out_stride, _mm256_permute2f128_ps(r[i], r[4 + i], 0x31));
  }
}

}  // namespace
}  // namespace inlay::kernels
