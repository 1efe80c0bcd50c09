#pragma once

#include <cstdint>

// Loops of the files ceiling_<set>.cpp; ceiling.cpp alone calls them. Each runs `steps` times a dozen or so
// independent multiply-adds, enough to cover the latency of one, and returns the floating-point operations of a step.
namespace inlay::kernels {

int64_t ceiling_scalar(int64_t steps);
int64_t ceiling_avx2(int64_t steps);
int64_t ceiling_avx512(int64_t steps);
int64_t ceiling_avx512_vnni(int64_t steps);
int64_t ceiling_avx512_bf16(int64_t steps);
int64_t ceiling_amx_bf16(int64_t steps);
int64_t ceiling_neon(int64_t steps);
int64_t ceiling_neon_dotprod(int64_t steps);

}  // namespace inlay::kernels
