#include <doctest/doctest.h>

#include <string>

#include "kernels/ceiling.h"

using namespace inlay::kernels;

TEST_CASE("the ceiling is measured on every instruction set of this machine and on no other") {
  for (Isa isa : {Isa::scalar, Isa::neon, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx_bf16}) {
    const double rate = fma_ceiling_gflops(isa);
    const Kernels* table = find(isa);
    CHECK((rate > 0) == (table != nullptr));
    if (table != nullptr) MESSAGE(std::string(table->name) << ": " << rate << " GFLOP/s");
  }
}
