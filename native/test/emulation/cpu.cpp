#include "kernels/cpu.h"

// Stands in for native/kernels/cpu.cpp where bfloat16's instructions are emulated: they are there wherever AVX-512 is.
namespace inlay::kernels {

bool cpu_runs_avx2() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}
bool cpu_runs_avx512() {
  return cpu_runs_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}
bool cpu_runs_avx512_vnni() { return cpu_runs_avx512() && __builtin_cpu_supports("avx512vnni") != 0; }
bool cpu_runs_avx512_bf16() { return cpu_runs_avx512(); }
bool cpu_runs_amx_bf16() { return cpu_runs_avx512(); }
bool cpu_runs_neon_dotprod() { return false; }

}  // namespace inlay::kernels
