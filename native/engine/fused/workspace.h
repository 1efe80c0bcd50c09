#pragma once

#include <atomic>
#include <cstdint>

#include "engine/engine.h"
#include "engine/fused/memory.h"
#include "engine/fused/model.h"
#include "engine/fused/routing.h"

namespace inlay::fused {

// The buffers of one pass of up to `tokens` tokens. Activations are in the kernels' layout, residuals in floats.
class FusedWorkspace final : public Workspace {
 public:
  // At most so many tasks of a split pass run at once; each claims a scratch of its own.
  static constexpr int32_t scratches = 32;

  FusedWorkspace(const Model& model, int32_t tokens);
  uint64_t bytes() const override { return touched; }

  int32_t tokens;
  float* hidden;          // the residual stream, tokens x width
  float* branch;          // what a sandwich norm goes over before it joins the residual, tokens x width
  void* normed;           // the input of a product, tokens x width
  void* qkv;              // tokens x qkv_width
  void* attended;         // tokens x attention_width
  void* inner;            // tokens x ffn; may share the memory of qkv and attended, which are done with by then. In a
                          // mixture of experts gathered rows x ffn
  float* logits;          // tokens x experts
  Routing routing;        // of tokens
  void* gathered;         // the rows of each expert, gathered rows x width
  float* expert_out;      // what the experts make of them
  float* selected;        // rows of `hidden` that pooling reads, sequences x width
  void* selected_normed;
  float* pooled;          // sequences x width
  void* pooled_activation;
  void* dense_inner;      // sequences x dense_2_out
  float* dense_out;       // sequences x output width
  int32_t* positions;     // of each token in its sequence
  int32_t* starts;        // first row of each sequence

  // A scratch for one task: big enough for any product and any attention of this model.
  int32_t claim_scratch();
  void release_scratch(int32_t index);
  void* scratch(int32_t index) const { return scratch_start + uint64_t(index) * scratch_bytes; }

 private:
  void place(const Model& model, Arena& arena);

  Memory memory;
  char* scratch_start = nullptr;
  uint64_t scratch_bytes = 0;
  uint64_t touched = 0;  // with one scratch: the others cost memory only once a split pass uses them
  std::atomic<uint32_t> claimed{0};
};

}  // namespace inlay::fused
