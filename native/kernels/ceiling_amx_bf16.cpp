#include "kernels/amx_instructions.h"
#include "kernels/ceiling_loops.h"

namespace inlay::kernels {

int64_t ceiling_amx_bf16(int64_t steps) {
  alignas(64) uint16_t ones[512];
  for (uint16_t& one : ones) one = 0x3f80;
  load_tile_configuration(TileConfiguration());
  zero_tile<0>();
  zero_tile<1>();
  zero_tile<2>();
  zero_tile<3>();
  load_tile<4>(reinterpret_cast<const char*>(ones));
  load_tile<5>(reinterpret_cast<const char*>(ones));
  load_tile<6>(reinterpret_cast<const char*>(ones));
  load_tile<7>(reinterpret_cast<const char*>(ones));
  for (int64_t step = 0; step < steps; step++) {
    multiply_tiles<0, 4, 6>();
    multiply_tiles<1, 4, 7>();
    multiply_tiles<2, 5, 6>();
    multiply_tiles<3, 5, 7>();
  }
  release_tiles();
  return 4 * 16 * 16 * 32 * 2;
}

}  // namespace inlay::kernels
