#pragma once

#include <cstdint>
#include <string_view>

#include "gguf/reader.h"
#include "gguf/validate.h"

namespace inlay::gguf {

// What inlay knows of an architecture (the value of general.architecture).
struct Architecture {
  const char* name;
  bool known_schema;   // schema.cpp lists its tensors
  bool encoder;        // attends in both directions by definition
  bool rotary;         // rotary positions, so the head size must be even
  bool token_types;    // llama.cpp wants tokenizer.ggml.token_type_count
  const char* epsilon;  // the norm's key, without the architecture's prefix
};

// nullptr where inlay does not serve the architecture.
const Architecture* find_architecture(std::string_view name);

// The hyper-parameters that shapes follow from. Where a file gives one value per layer (architectures without a known
// schema), the largest stands here.
struct HParams {
  const Architecture* architecture;
  uint64_t layers;
  uint64_t width;       // embedding_length
  uint64_t context;
  uint64_t ffn;
  uint64_t heads;
  uint64_t kv_heads;
  uint64_t head_size;   // of queries, keys and values alike
  uint64_t token_types = 0;
  uint64_t experts = 0;
  uint64_t experts_every = 0;  // layer i has experts where i % experts_every == 1
  uint64_t dense_2_out = 0;    // 0: no dense head
  uint64_t dense_3_in = 0;
};

// Throws where the file is no embedding model at all: an adapter, a projector, a lone vocabulary, a part of a split
// model, a reranker, a text generator, an architecture that inlay does not serve.
void check_kind(const Reader& file, const ValidateOptions& options);

// Reads and checks the hyper-parameters.
HParams check_hparams(const Reader& file, const ValidateOptions& options, ValidationReport& report);

// Checks the vocabulary; the number of tokens.
uint64_t check_vocabulary(const Reader& file, ValidationReport& report);

// Checks names, shapes and types of the tensors.
void check_schema(const Reader& file, const HParams& hparams, uint64_t tokens);

// Reads every tensor and checks its numbers.
void check_weights(const Reader& file);

}  // namespace inlay::gguf
