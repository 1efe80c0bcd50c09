#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <ctime>

#include "kernels/kernels.h"

namespace inlay::test {

// Of this thread, so that a busy machine does not look like a slow one.
inline double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

// Floating-point operations per second of one thread that does nothing but multiply-adds in registers, with the
// vectors of an instruction set, over about a millisecond; 0 where it is not known here.
#if defined(__x86_64__) && defined(__GNUC__)

__attribute__((target("avx512f"))) inline double ceiling_avx512() {
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  __m512 a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y;
  const double start = thread_seconds();
  constexpr int steps = 200000;
  for (int step = 0; step < steps; step++) {
    a = _mm512_fmadd_ps(a, x, y);
    b = _mm512_fmadd_ps(b, x, y);
    c = _mm512_fmadd_ps(c, x, y);
    d = _mm512_fmadd_ps(d, x, y);
    e = _mm512_fmadd_ps(e, x, y);
    f = _mm512_fmadd_ps(f, x, y);
    g = _mm512_fmadd_ps(g, x, y);
    h = _mm512_fmadd_ps(h, x, y);
    i = _mm512_fmadd_ps(i, x, y);
    j = _mm512_fmadd_ps(j, x, y);
    __asm__ volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f), "+v"(g), "+v"(h), "+v"(i), "+v"(j));
  }
  return steps * 10.0 * 2 * 16 / (thread_seconds() - start);
}

__attribute__((target("avx2,fma"))) inline double ceiling_avx2() {
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  __m256 a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y;
  const double start = thread_seconds();
  constexpr int steps = 200000;
  for (int step = 0; step < steps; step++) {
    a = _mm256_fmadd_ps(a, x, y);
    b = _mm256_fmadd_ps(b, x, y);
    c = _mm256_fmadd_ps(c, x, y);
    d = _mm256_fmadd_ps(d, x, y);
    e = _mm256_fmadd_ps(e, x, y);
    f = _mm256_fmadd_ps(f, x, y);
    g = _mm256_fmadd_ps(g, x, y);
    h = _mm256_fmadd_ps(h, x, y);
    i = _mm256_fmadd_ps(i, x, y);
    j = _mm256_fmadd_ps(j, x, y);
    __asm__ volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f), "+v"(g), "+v"(h), "+v"(i), "+v"(j));
  }
  return steps * 10.0 * 2 * 8 / (thread_seconds() - start);
}

inline double fused_ceiling(kernels::Isa isa) {
  if (isa == kernels::Isa::avx512) return ceiling_avx512();
  if (isa == kernels::Isa::avx2) return ceiling_avx2();
  return 0;
}

#else
inline double fused_ceiling(kernels::Isa) { return 0; }
#endif

}  // namespace inlay::test
