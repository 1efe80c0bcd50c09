#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/fused/architecture.h"
#include "engine/fused/memory.h"
#include "gguf/reader.h"
#include "kernels/kernels.h"

namespace inlay::fused {

// The weights of one product, packed for the kernels that will run.
struct Matrix {
  const void* panels = nullptr;  // nullptr: the model has no such product
  const float* bias = nullptr;   // in the order of the panels' columns; nullptr: none
  kernels::PanelType type = kernels::PanelType::native;
  int32_t depth = 0;
  int32_t columns = 0;           // of the result: half the weights' rows where gated
  int32_t panel_count = 0;
  bool gated = false;
};

struct NormWeights {
  const float* weight = nullptr;  // nullptr: no such norm
  const float* bias = nullptr;
};

struct Expert {
  Matrix up;
  Matrix down;
};

struct LayerWeights {
  NormWeights attention_norm;  // before the attention, or after its residual (NormPlace::after)
  NormWeights attention_out_norm;  // NormPlace::sandwich
  NormWeights ffn_norm;
  NormWeights ffn_out_norm;
  const float* query_norm = nullptr;
  const float* key_norm = nullptr;
  Matrix qkv;
  Matrix attention_out;
  Matrix up;                    // none in a mixture of experts
  Matrix down;
  Matrix router;                // a mixture's: a logit of each expert
  std::vector<Expert> experts;  // empty: no mixture
};

// The token embeddings as the file holds them.
struct TokenTable {
  gguf::TensorType type;
  uint64_t row_bytes = 0;
  const uint8_t* rows = nullptr;
};

struct Weights {
  TokenTable tokens;
  const float* positions = nullptr;  // [context][width], where positions are learned
  const float* token_type = nullptr;  // the row of type 0, which every token has; nullptr: none
  NormWeights embedding_norm;
  std::vector<LayerWeights> layers;
  NormWeights output_norm;
  Matrix dense_2, dense_3;

  // Of the layers' products: int8, or native, where each may be of halves all the same.
  kernels::PanelType layer_panels = kernels::PanelType::native;
  uint64_t table_bytes = 0;     // of `memory`: the token table
  uint64_t parameters = 0;      // of the whole file
  double flops_per_token = 0;   // of the linear layers
  int32_t largest_depth = 0;    // of any product

  Memory memory;
  FileMapping mapping;
};

// Reads, dequantises and packs every weight, panel by panel, so that besides the packed weights only a few panels'
// worth of memory is ever held. Throws Failure: model_invalid for a tensor that is missing, has another shape, or
// holds a value that is not finite; model_unsupported for a type that is not known.
// `int8`: the layers' products in bytes, where `kernels` have them.
Weights load_weights(const gguf::Reader& file, const ModelShape& shape, const kernels::Kernels& kernels, bool int8,
                     bool mmap);

// Checks names, shapes and types of the tensors that load_weights would read; throws as it does.
void check_tensors(const gguf::Reader& file, const ModelShape& shape);

}  // namespace inlay::fused
