#pragma once

#include <cstdint>

#include "engine/fused/model.h"

namespace inlay::fused {

// Of the core this process runs on; a guess where the system does not say.
int64_t level2_cache_bytes();

// How a pass is cut, from the machine and the model.
struct Cost {
  int32_t micro_batch_tokens;
  int32_t split_tokens;
};

// `rate`: floating-point operations per second of one thread's products, see measure_rate.
Cost estimate_cost(const Model& model, double rate);

// Of one thread, by running a product of native or int8 panels that fits in the cache for about a millisecond. Once for
// each kernel table and type.
double measure_rate(const kernels::Kernels& kernels, kernels::PanelType type);

}  // namespace inlay::fused
