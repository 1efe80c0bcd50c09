#pragma once

#include <memory>
#include <vector>

#include "engine/fused/architecture.h"
#include "engine/fused/rotations.h"
#include "engine/fused/weights.h"
#include "kernels/kernels.h"

namespace inlay::fused {

// Everything a forward pass reads.
struct Model {
  kernels::Precision precision;  // of the layers' products
  const kernels::Kernels* kernels;
  ModelShape shape;
  Pooling pooling;
  Weights weights;
  std::vector<std::unique_ptr<Rotations>> rotations;       // one for each base
  std::vector<const float*> layer_rotations;               // of each layer; nullptr: no RoPE
  int64_t cache_bytes;                                     // of the L2 cache, which products keep their rows in
};

const char* precision_name(kernels::Precision precision);

// Throws as create_fused_engine does.
Model load_model(const gguf::Reader& file, const LoadOptions& options);

}  // namespace inlay::fused
