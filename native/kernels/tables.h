#pragma once

#include "kernels/kernels.h"

// The tables that the files of this folder define; select.cpp alone reads them. Each is there only where its file is
// compiled, which the build says by INLAY_HAVE_*.
namespace inlay::kernels {

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
extern const Kernels avx512_vnni_kernels;
extern const Kernels avx512_bf16_kernels;
extern const Kernels amx_bf16_kernels;
extern const Kernels neon_kernels;
extern const Kernels neon_dotprod_kernels;

}  // namespace inlay::kernels
