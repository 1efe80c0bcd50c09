#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "gguf/reader.h"
#include "kernels/kernels.h"

namespace inlay::fused {

enum class NormPlace : int32_t {
  after,     // x = norm(x + f(x)), as in BERT
  before,    // x = x + f(norm(x)), and a last norm over the output
  sandwich,  // x = x + norm(f(norm(x))), and a last norm over the output
};

enum class Positions : int32_t { none, learned, rotary, alibi };

enum class Ffn : int32_t {
  plain,   // down(activation(up(x)))
  gated,   // down(activation(gate(x)) * up(x)); gate and up are two tensors, or one with the gate's rows first
};

enum class Activation : int32_t { gelu_erf, gelu_tanh, silu };

// What sets one architecture apart: one row of the table in architecture.cpp. The forward pass knows only this.
struct Architecture {
  const char* name;             // general.architecture
  kernels::NormKind norm;
  NormPlace place;
  Positions positions;
  bool causal;                  // where the file does not say
  bool head_norms;              // an RMS norm of each query and key head before the rotation
  Ffn ffn;
  Activation activation;
  bool embedding_norm;          // a norm over the sum of the embeddings
  bool scaled_embedding;        // token embeddings times sqrt(width)
  int32_t window_pattern;       // every n-th layer attends in full, the others in a window; where the file does not
                                // say; 0: no windows
  bool full_layer_first;        // of each n layers the first is the full one, else the last
  bool dense_heads;             // dense_2 and dense_3 over the pooled vector, where the file has them
  bool experts;                 // every n-th FFN is a mixture of experts, where the file says; not with sandwich norms
};

// nullptr where the fused engine does not know the architecture.
const Architecture* find_architecture(const std::string& name);

struct LayerShape {
  kernels::Span span;
  int32_t window;       // tokens to either side
  float rotary_base;
  bool mixture;         // its FFN is a mixture of experts
};

// The sizes and choices of one model: the architecture's row together with the file's hyper-parameters.
struct ModelShape {
  const Architecture* architecture;
  int32_t vocabulary;
  int32_t width;
  int32_t layers;
  int32_t ffn;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_size;
  int32_t context;
  float epsilon;
  Activation activation;
  Pooling pooling;             // the file's; unspecified where it has none
  int32_t rotated;             // elements of a head that RoPE turns
  float position_scale;        // of RoPE's positions (linear scaling)
  float attention_scale;
  std::vector<float> slopes;   // ALiBi's, of each head; empty: none
  int32_t dense_2_out;         // 0: no dense heads
  int32_t dense_3_out;
  int32_t experts;             // of a mixture; 0: the model has none
  int32_t experts_used;        // by each token
  std::vector<LayerShape> layer;

  int32_t attention_width() const { return heads * head_size; }
  int32_t qkv_width() const { return (heads + 2 * kv_heads) * head_size; }
  int32_t output_width() const { return dense_2_out == 0 ? width : dense_3_out; }
};

// Reads and checks the hyper-parameters. Throws Failure: model_unsupported where the file asks for what the fused
// engine does not do, model_invalid where it contradicts itself.
ModelShape read_shape(const gguf::Reader& file);

}  // namespace inlay::fused
