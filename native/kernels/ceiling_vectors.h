#pragma once

#include "kernels/ceiling_loops.h"

// The loop over one kind of vector. `INLAY_ANY_REGISTER` names its registers in assembly constraints; the empty
// assembly keeps the compiler from computing the result beforehand or merging steps.
namespace inlay::kernels {
namespace {

constexpr int ceiling_chains = 12;

template <typename Vector, typename MultiplyAdd>
inline __attribute__((always_inline)) void ceiling_steps(int64_t steps, Vector start, MultiplyAdd multiply_add) {
  Vector sums[ceiling_chains];
#pragma GCC unroll 12
  for (Vector& sum : sums) sum = start;
  for (int64_t step = 0; step < steps; step++) {
#pragma GCC unroll 12
    for (Vector& sum : sums) {
      sum = multiply_add(sum);
      __asm__ volatile("" : INLAY_ANY_REGISTER(sum));
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
