#include "engine/fused/workspace.h"

#include <algorithm>

namespace inlay::fused {

FusedWorkspace::FusedWorkspace(const Model& model, int32_t tokens) : tokens(tokens) {
  const kernels::Kernels& k = *model.kernels;
  const int32_t longest = std::min(tokens, model.shape.context);
  const auto product_scratch = [&](kernels::PanelType type) {
    return k.product_scratch(type, model.weights.largest_depth);
  };
  scratch_bytes = std::max({product_scratch(kernels::PanelType::native), product_scratch(model.weights.layer_panels),
                            k.attention_scratch(model.shape.head_size, longest)});
  scratch_bytes = (scratch_bytes + 4095) / 4096 * 4096;
  Arena sizes;
  place(model, sizes);
  memory = Memory(sizes.taken());
  Arena arena(memory);
  place(model, arena);
  touched = sizes.taken() - scratch_bytes * (scratches - 1);
}

void FusedWorkspace::place(const Model& model, Arena& arena) {
  const ModelShape& shape = model.shape;
  const kernels::Layout layout = model.kernels->layout;
  const auto f32_matrix = [&](int32_t rows, int32_t columns) {
    return arena.take<float>(uint64_t(rows) * uint64_t(kernels::row_stride(columns)));
  };
  const auto floats = [&](int32_t columns) { return f32_matrix(tokens, columns); };
  const auto activation_bytes = [&](int32_t columns) { return kernels::activation_bytes(layout, tokens, columns); };
  const auto activation = [&](int32_t columns) { return arena.take_bytes(activation_bytes(columns)); };

  hidden = floats(shape.width);
  branch = floats(shape.width);
  normed = activation(shape.width);
  // `inner` may lie over the two only where none has padding columns, whose zeros another matrix would overwrite.
  const bool padded = shape.qkv_width() % 32 != 0 || shape.attention_width() % 32 != 0 || shape.ffn % 32 != 0;
  const uint64_t qkv_bytes = (activation_bytes(shape.qkv_width()) + 63) / 64 * 64;
  const uint64_t pair_bytes = (qkv_bytes + activation_bytes(shape.attention_width()) + 63) / 64 * 64;
  const int32_t gathered_rows = most_gathered_rows(tokens, shape.experts, shape.experts_used);
  const uint64_t inner_bytes = kernels::activation_bytes(layout, std::max(tokens, gathered_rows), shape.ffn);
  char* start = static_cast<char*>(
      arena.take_bytes(padded ? pair_bytes + inner_bytes : std::max(pair_bytes, inner_bytes)));
  qkv = start;
  attended = start == nullptr ? nullptr : start + qkv_bytes;
  inner = start == nullptr || !padded ? start : start + pair_bytes;
  if (shape.experts != 0) {
    const uint64_t choices = uint64_t(tokens) * uint64_t(shape.experts_used);
    logits = floats(shape.experts);
    routing.experts = arena.take<int32_t>(choices);
    routing.weights = arena.take<float>(choices);
    routing.slots = arena.take<int32_t>(choices);
    routing.starts = arena.take<int32_t>(uint64_t(shape.experts));
    routing.counts = arena.take<int32_t>(uint64_t(shape.experts));
    gathered = arena.take_bytes(kernels::activation_bytes(layout, gathered_rows, shape.width));
    expert_out = f32_matrix(gathered_rows, shape.width);
  }
  selected = floats(shape.width);
  selected_normed = activation(shape.width);
  pooled = floats(shape.width);
  pooled_activation = activation(shape.width);
  dense_inner = activation(std::max(1, shape.dense_2_out));
  dense_out = floats(shape.output_width());
  positions = arena.take<int32_t>(uint64_t(tokens));
  starts = arena.take<int32_t>(uint64_t(tokens));
  scratch_start = static_cast<char*>(arena.take_bytes(scratch_bytes * scratches));
}

int32_t FusedWorkspace::claim_scratch() {
  uint32_t seen = claimed.load(std::memory_order_relaxed);
  for (;;) {
    const int32_t index = __builtin_ctz(~seen);  // never all ones: a pass runs no more than `scratches` tasks
    if (claimed.compare_exchange_weak(seen, seen | 1u << index, std::memory_order_acquire)) return index;
  }
}

void FusedWorkspace::release_scratch(int32_t index) {
  claimed.fetch_and(~(1u << index), std::memory_order_release);
}

}  // namespace inlay::fused
