#include "kernels/ceiling.h"

#include <ctime>

#if defined(__aarch64__)
#define INLAY_ANY_REGISTER "+w"
#else
#define INLAY_ANY_REGISTER "+x"
#endif
#include "kernels/ceiling_vectors.h"

namespace inlay::kernels {
namespace {

using Loop = int64_t (*)(int64_t steps);

Loop loop_of(Isa isa) {
  switch (isa) {
    case Isa::scalar: return ceiling_scalar;
#if defined(INLAY_HAVE_NEON)
    case Isa::neon: return ceiling_neon;
#endif
#if defined(INLAY_HAVE_NEON_DOTPROD)
    case Isa::neon_dotprod: return ceiling_neon_dotprod;
#endif
#if defined(INLAY_HAVE_AVX2)
    case Isa::avx2: return ceiling_avx2;
#endif
#if defined(INLAY_HAVE_AVX512)
    case Isa::avx512: return ceiling_avx512;
#endif
#if defined(INLAY_HAVE_AVX512_VNNI)
    case Isa::avx512_vnni: return ceiling_avx512_vnni;
#endif
#if defined(INLAY_HAVE_AVX512_BF16)
    case Isa::avx512_bf16: return ceiling_avx512_bf16;
#endif
#if defined(INLAY_HAVE_AMX_BF16)
    case Isa::amx_bf16: return ceiling_amx_bf16;
#endif
    default: return nullptr;
  }
}

double thread_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
#else
  return double(std::clock()) / CLOCKS_PER_SEC;
#endif
}

}  // namespace

int64_t ceiling_scalar(int64_t steps) {
  ceiling_steps(steps, 0.001f, [](float sum) { return sum * 0.999f + 0.001f; });
  return ceiling_chains * 2;
}

double fma_ceiling_gflops(Isa isa) {
  const Loop loop = loop_of(isa);
  if (loop == nullptr || find(isa) == nullptr) return 0;
  constexpr int rounds = 10;
  constexpr double round_seconds = 0.002;
  // The first rounds find how many steps a round is, and wake the wide units, which may sleep until they are used.
  int64_t steps = 64;
  double seconds = 0;
  while (seconds < round_seconds) {
    steps *= 2;
    const double start = thread_seconds();
    loop(steps);
    seconds = thread_seconds() - start;
  }
  double best = 0;
  for (int round = 0; round < rounds; round++) {
    const double start = thread_seconds();
    const int64_t operations = steps * loop(steps);
    const double rate = double(operations) / (thread_seconds() - start) * 1e-9;
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace inlay::kernels
