#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/hparams.h"

namespace inlay::gguf {

// How a tensor is used, which decides the types it may have.
enum class Role {
  matrix,  // rows are multiplied or looked up: any type with a float value
  vector,  // norms, biases, token types: f32, which ggml's element-wise kernels require
};

struct ExpectedTensor {
  std::string name;
  Role role;
  std::vector<uint64_t> shape;  // GGUF's order: the contiguous dimension first
  bool required;
};

// The tensors of a model of a known architecture, from its hyper-parameters.
std::vector<ExpectedTensor> expected_tensors(const Reader& file, const HParams& hparams, uint64_t tokens);

}  // namespace inlay::gguf
