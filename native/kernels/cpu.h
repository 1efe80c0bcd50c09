#pragma once

// What the CPU has and the operating system lets this process use: CPUID's feature bits, XCR0's state bits (a
// hypervisor or kernel that does not save a register file leaves its bits clear), and Linux's permission for the
// tile data, which is asked for on the first call (arch_prctl(2), ARCH_REQ_XCOMP_PERM).
namespace inlay::kernels {

bool cpu_runs_avx2();         // AVX2, FMA, F16C
bool cpu_runs_avx512();       // AVX-512 F, BW, DQ, VL besides
bool cpu_runs_avx512_vnni();  // AVX512-VNNI besides those of avx512
bool cpu_runs_avx512_bf16();  // AVX512-BF16 besides those of avx512
bool cpu_runs_amx_bf16();     // AMX-TILE and AMX-BF16 besides
bool cpu_runs_neon_dotprod();  // Armv8.2's dot products of bytes

}  // namespace inlay::kernels
