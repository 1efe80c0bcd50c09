#include <cstdlib>
#include <cstring>

#include "kernels/cpu.h"
#include "kernels/tables.h"

namespace inlay::kernels {
namespace {

struct Entry {
  const char* name;
  const Kernels* table;  // nullptr: not built in
  bool (*runs)();
};

bool always() { return true; }

#if defined(INLAY_HAVE_AVX2)
constexpr const Kernels* avx2 = &avx2_kernels;
#else
constexpr const Kernels* avx2 = nullptr;
#endif
#if defined(INLAY_HAVE_AVX512)
constexpr const Kernels* avx512 = &avx512_kernels;
#else
constexpr const Kernels* avx512 = nullptr;
#endif
#if defined(INLAY_HAVE_AVX512_VNNI)
constexpr const Kernels* avx512_vnni = &avx512_vnni_kernels;
#else
constexpr const Kernels* avx512_vnni = nullptr;
#endif
#if defined(INLAY_HAVE_AVX512_BF16)
constexpr const Kernels* avx512_bf16 = &avx512_bf16_kernels;
#else
constexpr const Kernels* avx512_bf16 = nullptr;
#endif
#if defined(INLAY_HAVE_AMX_BF16)
constexpr const Kernels* amx_bf16 = &amx_bf16_kernels;
#else
constexpr const Kernels* amx_bf16 = nullptr;
#endif
#if defined(INLAY_HAVE_NEON)
constexpr const Kernels* neon = &neon_kernels;
#else
constexpr const Kernels* neon = nullptr;
#endif
#if defined(INLAY_HAVE_NEON_DOTPROD)
constexpr const Kernels* neon_dotprod = &neon_dotprod_kernels;
#else
constexpr const Kernels* neon_dotprod = nullptr;
#endif

// Narrowest first, in the order of Isa.
const Entry entries[] = {
    {"scalar", &scalar_kernels, always},
    {"neon", neon, always},
    {"neon-dotprod", neon_dotprod, cpu_runs_neon_dotprod},
    {"avx2", avx2, cpu_runs_avx2},
    {"avx512", avx512, cpu_runs_avx512},
    {"avx512-vnni", avx512_vnni, cpu_runs_avx512_vnni},
    {"avx512-bf16", avx512_bf16, cpu_runs_avx512_bf16},
    {"amx-bf16", amx_bf16, cpu_runs_amx_bf16},
};
constexpr int32_t entry_count = int32_t(sizeof(entries) / sizeof(entries[0]));

bool usable(const Entry& entry) { return entry.table != nullptr && entry.runs(); }

bool serves(const Kernels& table, Precision precision) {
  switch (precision) {
    case Precision::bf16: return table.layout == Layout::bf16_tiles;
    case Precision::int8: return table.pack_int8 != nullptr;
    // Equal floats go by one name, the narrower one.
    default: return table.layout == Layout::f32_rows && !is_for_bytes(table.isa);
  }
}

}  // namespace

const Kernels* select(Precision precision, const char** reason) {
  int32_t widest = entry_count - 1;
  const char* forced = std::getenv("INLAY_ISA");
  if (forced != nullptr && forced[0] != '\0') {
    while (widest >= 0 && std::strcmp(entries[widest].name, forced) != 0) widest--;
    if (widest < 0) {
      *reason = "INLAY_ISA names no instruction set: expected scalar, avx2, avx512, avx512-vnni, avx512-bf16, amx-bf16, "
                "neon or neon-dotprod";
      return nullptr;
    }
    if (!usable(entries[widest])) {
      *reason = entries[widest].table == nullptr ? "INLAY_ISA names an instruction set this build does not have"
                                                 : "INLAY_ISA names an instruction set this CPU does not have";
      return nullptr;
    }
  }
  for (int32_t i = widest; i >= 0; i--) {
    if (usable(entries[i]) && serves(*entries[i].table, precision)) return entries[i].table;
  }
  *reason = "this CPU has no fast bfloat16 products (AVX512-BF16 or AMX-BF16)";
  return nullptr;
}

const Kernels* find(Isa isa) {
  const Entry& entry = entries[int32_t(isa)];
  return usable(entry) ? entry.table : nullptr;
}

}  // namespace inlay::kernels
