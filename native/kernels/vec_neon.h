#pragma once

#include <arm_neon.h>

#include <cstdint>

// One vector of floats on AArch64's Advanced SIMD; see vec_avx512.h.
namespace inlay::kernels {
namespace {

using Vec = float32x4_t;
constexpr int32_t lanes = 4;
constexpr int32_t panel_vectors = 4;  // 24 sums, four columns of weights and one value of the input: 29 of 32 registers
constexpr int32_t block_rows = 6;
constexpr int32_t block_panels = 1;

inline Vec set1(float x) { return vdupq_n_f32(x); }
inline Vec zero() { return vdupq_n_f32(0); }
inline Vec load(const float* p) { return vld1q_f32(p); }
inline void store(float* p, Vec v) { vst1q_f32(p, v); }

// The first n lanes, 0 <= n <= lanes; the others read as zero and are not written.
inline Vec load_first(const float* p, int32_t n) {
  if (n >= lanes) return load(p);
  float values[lanes] = {};
  for (int32_t i = 0; i < n; i++) values[i] = p[i];
  return load(values);
}
inline void store_first(float* p, Vec v, int32_t n) {
  if (n >= lanes) return store(p, v);
  float values[lanes];
  store(values, v);
  for (int32_t i = 0; i < n; i++) p[i] = values[i];
}
inline Vec keep_first(Vec v, int32_t n) {
  const int32_t index[lanes] = {0, 1, 2, 3};
  const uint32x4_t kept = vcltq_s32(vld1q_s32(index), vdupq_n_s32(n));
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), kept));
}

inline Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
inline Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
inline Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
inline Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
inline Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f32(c, a, b); }
inline Vec max(Vec a, Vec b) { return vmaxq_f32(a, b); }
inline Vec min(Vec a, Vec b) { return vminq_f32(a, b); }
inline Vec abs(Vec a) { return vabsq_f32(a); }
inline Vec round(Vec a) { return vrndnq_f32(a); }

// In two halves, as 2^n alone leaves the exponent's range where the product does not; n within -252..254.
inline Vec scale_by_power_of_two(Vec a, Vec n) {
  const int32x4_t whole = vcvtq_s32_f32(n);
  const int32x4_t half = vshrq_n_s32(whole, 1);
  const int32x4_t bias = vdupq_n_s32(127);
  const int32x4_t p = vshlq_n_s32(vaddq_s32(half, bias), 23);
  const int32x4_t q = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
  return mul(mul(a, vreinterpretq_f32_s32(p)), vreinterpretq_f32_s32(q));
}
inline Vec ramp() {
  const float values[lanes] = {0, 1, 2, 3};
  return load(values);
}
inline Vec where_within(Vec x, Vec low, Vec high, Vec value, Vec other) {
  return vbslq_f32(vandq_u32(vcgeq_f32(x, low), vcleq_f32(x, high)), value, other);
}

inline float sum(Vec v) {
  const float32x2_t halves = vadd_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(halves, 0) + vget_lane_f32(halves, 1);
}
inline float largest(Vec v) { return vmaxvq_f32(v); }

inline Vec load_halves(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
inline float widen_half(uint16_t half) {
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half))), 0);
}

// Bytes, four to a lane; see PanelType::int8. Both are signed.
constexpr int32_t weight_range = 127, weight_offset = 0;
inline Vec add_quads(Vec x, Vec weights, Vec sum) {
  const int8x16_t a = vreinterpretq_s8_f32(x), b = vreinterpretq_s8_f32(weights);
  const int32x4_t before = vreinterpretq_s32_f32(sum);
#if defined(__ARM_FEATURE_DOTPROD)
  return vreinterpretq_f32_s32(vdotq_s32(before, a, b));
#else
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(a, b));
  return vreinterpretq_f32_s32(vaddq_s32(before, vpaddq_s32(low, high)));
#endif
}
inline Vec whole_less(Vec sums, int32_t offset) {
  return vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_f32(sums), vdupq_n_s32(offset)));
}
inline void store_bytes(int8_t* p, Vec v) {
  const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(v));
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  const int32_t quad = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
  __builtin_memcpy(p, &quad, sizeof(quad));
}

inline void transpose_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  const Vec r0 = load(in), r1 = load(in + in_stride), r2 = load(in + 2 * in_stride), r3 = load(in + 3 * in_stride);
  const Vec a = vtrn1q_f32(r0, r1), b = vtrn2q_f32(r0, r1), c = vtrn1q_f32(r2, r3), d = vtrn2q_f32(r2, r3);
  store(out, vcombine_f32(vget_low_f32(a), vget_low_f32(c)));
  store(out + out_stride, vcombine_f32(vget_low_f32(b), vget_low_f32(d)));
  store(out + 2 * out_stride, vcombine_f32(vget_high_f32(a), vget_high_f32(c)));
  store(out + 3 * out_stride, vcombine_f32(vget_high_f32(b), vget_high_f32(d)));
}

}  // namespace
}  // namespace inlay::kernels
