#include "kernels/cpu.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace inlay::kernels {

#if defined(__x86_64__)
namespace {

struct Features {
  bool avx2 = false;
  bool avx512 = false;
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx_bf16 = false;
};

bool bit(uint32_t word, int index) { return (word >> index & 1) != 0; }

uint64_t enabled_state() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

bool tile_data_permitted() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

// Tiles as amx_bf16.cpp configures them: palette 1 with 8 registers of 16 rows of 64 bytes (leaf 1DH, subleaf 1), and
// products of 16 rows by 64 bytes (leaf 1EH).
bool tiles_fit() {
  uint32_t a, b, c, d;
  if (__get_cpuid_count(0x1d, 0, &a, &b, &c, &d) == 0 || a < 1) return false;
  if (__get_cpuid_count(0x1d, 1, &a, &b, &c, &d) == 0) return false;
  const uint32_t bytes_per_row = b & 0xffff, registers = b >> 16, rows = c & 0xffff;
  if (bytes_per_row < 64 || registers < 8 || rows < 16) return false;
  if (__get_cpuid_count(0x1e, 0, &a, &b, &c, &d) == 0) return false;
  const uint32_t depth_rows = b & 0xff, columns_bytes = b >> 8 & 0xffff;
  return depth_rows >= 16 && columns_bytes >= 64;
}

// Bits after Intel's Software Developer's Manual, volume 2, CPUID, and volume 1, section 13.1 (XCR0).
Features detect() {
  Features features;
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return features;
  const bool osxsave = bit(c, 27), avx = bit(c, 28), fma = bit(c, 12), f16c = bit(c, 29);
  if (!osxsave || !avx || !fma || !f16c) return features;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return features;
  const uint64_t state = enabled_state();
  constexpr uint64_t ymm = 0x06, zmm = 0xe6, tiles = 0x60000;
  features.avx2 = bit(b, 5) && (state & ymm) == ymm;
  features.avx512 = features.avx2 && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31) && (state & zmm) == zmm;
  if (!features.avx512) return features;
  features.avx512_vnni = bit(c, 11);
  const bool amx = bit(d, 22) && bit(d, 24);
  uint32_t a1, b1, c1, d1;
  if (__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1) != 0) features.avx512_bf16 = bit(a1, 5);
  features.amx_bf16 = amx && features.avx512_bf16 && (state & tiles) == tiles && tiles_fit() &&
                      tile_data_permitted();
  return features;
}

const Features& features() {
  static const Features detected = detect();
  return detected;
}

}  // namespace

bool cpu_runs_avx2() { return features().avx2; }
bool cpu_runs_avx512() { return features().avx512; }
bool cpu_runs_avx512_vnni() { return features().avx512_vnni; }
bool cpu_runs_avx512_bf16() { return features().avx512_bf16; }
bool cpu_runs_amx_bf16() { return features().amx_bf16; }
bool cpu_runs_neon_dotprod() { return false; }

#else

bool cpu_runs_avx2() { return false; }
bool cpu_runs_avx512() { return false; }
bool cpu_runs_avx512_vnni() { return false; }
bool cpu_runs_avx512_bf16() { return false; }
bool cpu_runs_amx_bf16() { return false; }

bool cpu_runs_neon_dotprod() {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;  // this whole build needs it
#elif defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

#endif

}  // namespace inlay::kernels
