#pragma once

#include <immintrin.h>

// Elementary functions for results that are stored as bfloat16, whose rounding is off by up to 2^-8 (4e-3) of the
// value: the errors below stay well under that, at about half the cost of vec_math.h's functions and without its
// divisions. Coefficients are minimax fits made for this file (weighted least squares, iterated after Lawson).
namespace inlay::kernels {
namespace {

// 2^x, off by 8e-5 of itself, for any x; below -126 it stays at 2^-126, so that no result is denormal.
inline __m512 bf16_power_of_two(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(7.802452147e-2f), f, _mm512_set1_ps(2.260671556e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.958335638e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.999251962e-1f));
  return _mm512_scalef_ps(p, x);  // p * 2^floor(x)
}

// x (1/2 + z P(z^2)), z being x within [-limit, limit], for activations x s(x) where s climbs from 0 to 1 with
// s(-x) = 1 - s(x). P is made so that the value at the limits is 0 and 1 to the last bit.
inline __m512 bf16_gate(__m512 x, float limit, const float (&p)[9]) {
  // The operand of the smaller magnitude, with the sign of the first.
  const __m512 z = _mm512_range_ps(x, _mm512_set1_ps(limit), 0x02);
  const __m512 t = _mm512_mul_ps(z, z);
  __m512 sum = _mm512_set1_ps(p[8]);
#pragma GCC unroll 8
  for (int i = 7; i >= 0; i--) sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(p[i]));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(z, sum, _mm512_set1_ps(0.5f)));
}

// x Phi(x) (Hendrycks & Gimpel, 2016), off by 5e-5 at most.
inline __m512 bf16_gelu_erf(__m512 x) {
  constexpr float p[9] = {3.989096582e-1f,  -6.633266807e-2f, 9.796991013e-3f,  -1.100061461e-3f, 9.161848720e-5f,
                          -5.419940862e-6f, 2.123683061e-7f,  -4.887826144e-9f, 4.965262229e-11f};
  return bf16_gate(x, 4.298828f, p);
}

// Its tanh form, off by 4e-5 at most.
inline __m512 bf16_gelu_tanh(__m512 x) {
  constexpr float p[9] = {3.987885118e-1f,  -6.645402312e-2f, 9.905355982e-3f,  -1.128786709e-3f, 9.549273818e-5f,
                          -5.724007224e-6f, 2.265646799e-7f,  -5.256546309e-9f, 5.377807574e-11f};
  return bf16_gate(x, 4.2481923f, p);
}

// x / (1 + e^-x), off by 1.5e-4 of itself.
inline __m512 bf16_silu(__m512 x) {
  const __m512 power = bf16_power_of_two(_mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f)));
  return _mm512_mul_ps(x, _mm512_rcp14_ps(_mm512_add_ps(power, _mm512_set1_ps(1.0f))));
}

}  // namespace
}  // namespace inlay::kernels
