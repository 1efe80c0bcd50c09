#pragma once

#include <cstdint>
#include <mutex>

#include "engine/fused/memory.h"

namespace inlay::fused {

// Cosines and sines of RoPE (Su et al., 2021) for every position of a context, as kernels::HeadPass reads them:
// [position][rotated], rotated / 2 cosines and then as many sines of position * scale * base^(-2 i / rotated).
// Room is reserved for the whole context and filled as far as workspaces need it.
class Rotations {
 public:
  Rotations(int32_t context, int32_t rotated, float base, float scale);

  // Positions below `count` are there once this returns. Any thread; waits for another that is filling.
  void fill(int32_t count);

  const float* data() const { return static_cast<const float*>(memory.data()); }
  float base() const { return rotary_base; }

 private:
  int32_t context;
  int32_t rotated;
  float rotary_base;
  float scale;
  Memory memory;
  std::mutex filling;
  int32_t filled = 0;  // under `filling`
};

}  // namespace inlay::fused
