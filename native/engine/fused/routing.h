#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace inlay::fused {

// Which experts each row of a mixture goes through, and where its copy for each of them lies: the rows of one expert
// are gathered one after another, so that they are the rows of one product.
struct Routing {
  int32_t* experts;  // rows x used; ascending in each row
  float* weights;    // rows x used
  int32_t* slots;    // rows x used: the gathered row
  int32_t* starts;   // first gathered row of each expert, a multiple of `grain`
  int32_t* counts;   // gathered rows of each expert

  static constexpr int32_t grain = kernels::tile_rows;  // products start on whole tiles
};

// How many gathered rows there can be.
int32_t most_gathered_rows(int32_t rows, int32_t experts, int32_t used);

// The `used` experts of the highest logits, of equals the first, in ascending order. Their weights are the softmax over
// all experts, not over those chosen (Fedus et al. 2022). `used` is at most `experts`.
void choose_experts(const float* logits, int32_t experts, int32_t used, int32_t* chosen, float* weights);

// Fills slots, starts and counts from the experts that the rows chose.
void place_rows(const Routing& routing, int32_t rows, int32_t experts, int32_t used);

}  // namespace inlay::fused
