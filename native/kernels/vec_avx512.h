#pragma once

#include <immintrin.h>

#include <cstdint>

// One vector of floats on AVX-512, as f32_kernels.h and vec_math.h want it. Everything is in an unnamed namespace:
// each file that includes this has its own copy, compiled for its own instruction set.
namespace inlay::kernels {
namespace {

using Vec = __m512;
constexpr int32_t lanes = 16;
constexpr int32_t panel_vectors = 2;  // 24 sums, two columns of weights and one value of the input: 27 of 32 registers
constexpr int32_t block_rows = 12;
// 24 sums as 6 rows by two panels take 10 loads for 24 multiply-adds instead of 14; since Ice Lake, loads that fill all
// 512 bits come at 1.3 a cycle where multiply-adds come at 2.
constexpr int32_t block_panels = 2;

inline Vec set1(float x) { return _mm512_set1_ps(x); }
inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }

// The first n lanes, 0 <= n <= lanes; the others read as zero and are not written.
inline __mmask16 first(int32_t n) { return __mmask16((1u << n) - 1); }
inline Vec load_first(const float* p, int32_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store_first(float* p, Vec v, int32_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
inline Vec keep_first(Vec v, int32_t n) { return _mm512_maskz_mov_ps(first(n), v); }

inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec abs(Vec a) { return _mm512_abs_ps(a); }
inline Vec round(Vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec scale_by_power_of_two(Vec a, Vec n) { return _mm512_scalef_ps(a, n); }  // a 2^n for a whole n
// 0, 1, 2, ... lanes - 1
inline Vec ramp() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
// value where low <= x <= high, other elsewhere
inline Vec where_within(Vec x, Vec low, Vec high, Vec value, Vec other) {
  const __mmask16 within = _mm512_cmp_ps_mask(x, low, _CMP_GE_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LE_OQ);
  return _mm512_mask_blend_ps(within, other, value);
}

inline __m256 half_sum(Vec v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
inline float sum_of_8(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float sum(Vec v) { return sum_of_8(half_sum(v)); }
inline float largest(Vec v) { return _mm512_reduce_max_ps(v); }

inline Vec load_halves(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline float widen_half(uint16_t half) { return _cvtsh_ss(half); }

// Bytes, four to a lane; see PanelType::int8. Weights are within `weight_range` and made unsigned by `weight_offset`.
// Without the instruction for it, pairs of products are added in 16 bits, which hold 2 * 127 * 127.
#if defined(__AVX512VNNI__)
constexpr int32_t weight_range = 127, weight_offset = 128;
inline Vec add_quads(Vec x, Vec weights, Vec sum) {
  return _mm512_castsi512_ps(
      _mm512_dpbusd_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(weights), _mm512_castps_si512(x)));
}
#else
constexpr int32_t weight_range = 63, weight_offset = 64;
inline Vec add_quads(Vec x, Vec weights, Vec sum) {
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_castps_si512(weights), _mm512_castps_si512(x));
  const __m512i quads = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(sum), quads));
}
#endif
// The lanes as integers, less `offset`, as floats.
inline Vec whole_less(Vec sums, int32_t offset) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_castps_si512(sums), _mm512_set1_epi32(offset)));
}
// Whole numbers as bytes, signed or, up to 127 + weight_offset, unsigned.
inline void store_bytes(int8_t* p, Vec v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

// Turns lanes x lanes floats around: out[c * out_stride + r] = in[r * in_stride + c].
inline void transpose_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) r[i] = load(in + i * in_stride);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512d a = _mm512_castps_pd(t[4 * i]), b = _mm512_castps_pd(t[4 * i + 1]);
    const __m512d c = _mm512_castps_pd(t[4 * i + 2]), d = _mm512_castps_pd(t[4 * i + 3]);
    r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    store(out + i * out_stride, _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88));
    store(out + (4 + i) * out_stride, _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0x88));
    store(out + (8 + i) * out_stride, _mm512_shuffle_f32x4(t[i], t[8 + i], 0xdd));
    store(out + (12 + i) * out_stride, _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0xdd));
  }
}

}  // namespace
}  // namespace inlay::kernels
