#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/reader.h"

namespace inlay::gguf {

struct ValidateOptions {
  bool scan_weights = false;  // read every tensor and check its numbers; see scan.h
  bool pooling_given = false;  // the caller chose a pooling: the file need not name a usable one
  uint64_t memory_limit = 0;  // bytes the weights may take as stored; 0: any
};

struct ValidationReport {
  bool known_schema = false;       // every tensor and its shape was expected; otherwise only llama.cpp knows the set
  bool bounded_splitter = true;    // llama.cpp splits words of any length without deep recursion
  uint64_t weight_bytes = 0;       // as stored
  uint64_t parameters = 0;
  std::vector<std::string> warnings;  // oddities that do no harm, a sentence each
};

// Proves that a file is an embedding model whose vectors can be computed: architecture, hyper-parameters, vocabulary,
// the exact tensor set where the architecture is known, and on request the weights' numbers. What passes meets every
// precondition that llama.cpp asserts. Expects a healed reader (heal.h).
// Throws Failure with `rule` set: model_invalid, model_unsupported, or out_of_memory past the limit.
ValidationReport validate(const Reader& file, const ValidateOptions& options = {});

}  // namespace inlay::gguf
