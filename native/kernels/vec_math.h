#pragma once

// Elementary functions of the vectors of vec_avx512.h, vec_avx2.h or vec_neon.h, one of which comes first.
// Coefficients are minimax fits made for this file (weighted least squares, iterated after Lawson).
namespace inlay::kernels {
namespace {

// e^x within 1.5 units in the last place for -87 < x < 88; x is clamped to about that range.
// e^x = 2^n e^f with f in [-ln 2 / 2, ln 2 / 2]; ln 2 in two parts, so that f is exact to the last bit.
inline Vec exponential(Vec x) {
  const Vec clamped = min(max(x, set1(-87.3f)), set1(88.3f));
  const Vec n = round(mul(clamped, set1(1.44269504f)));
  const Vec f = fnma(n, set1(-2.12194440e-4f), fnma(n, set1(0.693359375f), clamped));
  Vec p = fma(set1(1.381459878757596e-3f), f, set1(8.368716575205326e-3f));
  p = fma(p, f, set1(4.166838899254799e-2f));
  p = fma(p, f, set1(1.666652113199234e-1f));
  p = fma(p, f, set1(4.999999403953552e-1f));
  return scale_by_power_of_two(fma(mul(f, f), p, add(f, set1(1.0f))), n);
}

// x Phi(x), the form BERT, XLM-R and ModernBERT were trained with (Hendrycks & Gimpel, 2016).
// erf(x / sqrt 2) = x P(x^2) / Q(x^2) on [-5.6, 5.6], off by 2e-8 at most; beyond, it is one to that precision.
inline Vec gelu_erf(Vec x) {
  const Vec z = min(max(x, set1(-5.6f)), set1(5.6f));
  const Vec t = mul(z, z);
  Vec p = fma(set1(4.4290590750506453e-8f), t, set1(1.2713067008007783e-5f));
  Vec q = fma(set1(1.1802115977843641e-6f), t, set1(7.510200521210209e-5f));
  p = fma(p, t, set1(3.477020072750747e-4f));
  q = fma(q, t, set1(1.9129796419292688e-3f));
  p = fma(p, t, set1(9.414521977305412e-3f));
  q = fma(q, t, set1(2.8940102085471153e-2f));
  p = fma(p, t, set1(6.875226646661758e-2f));
  q = fma(q, t, set1(2.5283390283584595e-1f));
  p = fma(p, t, set1(7.97884464263916e-1f));
  q = fma(q, t, set1(1.0f));
  const Vec half = mul(set1(0.5f), x);
  return fma(half, div(mul(z, p), q), half);
}

// x / (1 + e^-x)
inline Vec silu(Vec x) { return div(x, add(set1(1.0f), exponential(sub(zero(), x)))); }

// The tanh form of GELU, Gemma's: x (1 + tanh u) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3).
inline Vec gelu_tanh(Vec x) {
  const Vec t = mul(x, x);
  const Vec minus_2u = mul(x, fma(t, set1(-0.0713548162726f), set1(-1.59576912160573f)));
  return div(x, add(set1(1.0f), exponential(minus_2u)));
}

}  // namespace
}  // namespace inlay::kernels
