#pragma once

#include <immintrin.h>

// The AVX512-BF16 instructions that the bf16 tables use, and nothing else of that set: a test build puts its own
// header of this name in front of this one, which computes the same by hand on CPUs without them.
namespace inlay::kernels {
namespace {

// 32 bfloat16: the 16 of `low`, then the 16 of `high`. Rounds to nearest even; denormals become zero.
inline __m512i narrow(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// Each lane of `sum` plus the products of its two pairs of bfloat16, the odd pair first.
inline __m512 add_dots(__m512 sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

}  // namespace
}  // namespace inlay::kernels
