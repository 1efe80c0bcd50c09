#include "engine/fused/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/fused/dequantise.h"
#include "engine/fused/routing.h"
#include "failure.h"

namespace inlay::fused {
namespace {

using kernels::Epilogue;
using kernels::Kernels;
using kernels::Layout;

// Keeps the kernels' state (AMX's tile configuration) on a thread while it computes.
class KernelScope {
 public:
  explicit KernelScope(const Kernels& k) : kernels(k) {
    if (kernels.enter != nullptr) kernels.enter();
  }
  ~KernelScope() {
    if (kernels.leave != nullptr) kernels.leave();
  }
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  const Kernels& kernels;
};

Epilogue activation_epilogue(Activation activation, bool gated) {
  switch (activation) {
    case Activation::gelu_tanh: return gated ? Epilogue::gated_gelu_tanh : Epilogue::gelu_tanh;
    case Activation::silu: return Epilogue::gated_silu;
    default: return gated ? Epilogue::gated_gelu_erf : Epilogue::gelu_erf;
  }
}

kernels::Product product_of(const Matrix& m, const void* input, Epilogue epilogue, void* out, float* sums) {
  return {input, m.panels, m.type, m.bias, m.depth, m.columns, epilogue, out, sums, nullptr};
}

// One forward pass. A pass on one thread calls the kernels one after another; a split pass hands each step to the
// team as tasks and waits for it, with the kernels' ranges cut finer.
class Pass {
 public:
  Pass(const Model& model, FusedWorkspace& workspace, const SequenceView* sequences, int32_t count, Team* team)
      : model(model), shape(model.shape), k(*model.kernels), w(workspace), sequences(sequences), count(count),
        team(team) {
    // With float activations the residual stream itself is what the next product reads, where a norm just wrote it.
    in_place = k.layout == Layout::f32_rows;
  }

  void run(const std::atomic<bool>& cancelled) {
    lay_out();
    hidden = w.hidden;
    normed = w.normed;
    embed();
    for (int32_t i = 0; i < shape.layers; i++) {
      if (cancelled.load(std::memory_order_relaxed)) throw Failure(FailureCode::aborted, "the request was aborted");
      attention_block(i);
      ffn_block(i);
    }
    pool();
  }

 private:
  void lay_out() {
    rows = 0;
    for (int32_t s = 0; s < count; s++) {
      w.starts[s] = rows;
      for (int32_t t = 0; t < sequences[s].count; t++) w.positions[rows++] = t;
    }
  }

  // ---- work in tasks ----

  // Calls body(unit, scratch) for each unit below `units`.
  template <typename Body>
  void each(int32_t units, const Body& body) {
    if (team == nullptr) {
      for (int32_t unit = 0; unit < units; unit++) body(unit, w.scratch(0));
      return;
    }
    struct Shared {
      Pass* pass;
      const Body* body;
      int32_t units, tasks;
    };
    Shared shared = {this, &body, units, std::min(units, FusedWorkspace::scratches)};
    team->run(shared.tasks, [](void* context, int32_t task) {
      const Shared& s = *static_cast<const Shared*>(context);
      const KernelScope scope(s.pass->k);
      const int32_t index = s.pass->w.claim_scratch();
      const int32_t begin = int32_t(int64_t(s.units) * task / s.tasks);
      const int32_t end = int32_t(int64_t(s.units) * (task + 1) / s.tasks);
      for (int32_t unit = begin; unit < end; unit++) (*s.body)(unit, s.pass->w.scratch(index));
      s.pass->w.release_scratch(index);
    }, &shared);
  }

  // Calls body(begin, end, scratch) over pieces of `total`, each a multiple of `grain` but the last.
  template <typename Body>
  void in_pieces(int32_t total, int32_t grain, const Body& body) {
    const int32_t piece = team == nullptr ? total : pieces_of(total, grain);
    each((total + piece - 1) / piece, [&](int32_t unit, void* scratch) {
      body(unit * piece, std::min(total, (unit + 1) * piece), scratch);
    });
  }

  // Four pieces a thread, so that a thread that comes late still finds some.
  int32_t pieces_of(int32_t total, int32_t grain) const {
    const int32_t parts = 4 * team->threads();
    return std::max(grain, (total + parts - 1) / parts / grain * grain);
  }

  static constexpr int32_t row_grain = kernels::tile_rows;
  static constexpr int32_t panel_grain = 2;  // panels that kernels take together where they can

  // ---- steps ----

  void embed() {
    const Weights& weights = model.weights;
    const int64_t stride = kernels::row_stride(shape.width);
    const float scale = shape.architecture->scaled_embedding ? std::sqrt(float(shape.width)) : 1.0f;
    for (int32_t s = 0; s < count; s++) {
      for (int32_t t = 0; t < sequences[s].count; t++) {
        float* row = w.hidden + (w.starts[s] + t) * stride;
        token_row(sequences[s].ids[t], row);
        if (scale != 1.0f) multiply(row, scale);
        if (weights.token_type != nullptr) add(row, weights.token_type);
        if (weights.positions != nullptr) add(row, weights.positions + int64_t(t) * shape.width);
      }
    }
    if (weights.embedding_norm.weight != nullptr) {
      norm(weights.embedding_norm, hidden, hidden, in_place ? nullptr : normed, false);
    }
  }

  void token_row(int32_t id, float* row) const {
    const TokenTable& table = model.weights.tokens;
    const uint8_t* from = table.rows + uint64_t(id) * table.row_bytes;
    if (table.type == gguf::TensorType::f16) {
      k.widen_f16(reinterpret_cast<const uint16_t*>(from), row, shape.width);
    } else {
      dequantise(table.type, from, row, shape.width);
    }
  }

  void add(float* row, const float* other) const {
    for (int32_t c = 0; c < shape.width; c++) row[c] += other[c];
  }

  void multiply(float* row, float factor) const {
    for (int32_t c = 0; c < shape.width; c++) row[c] *= factor;
  }

  // The product of every row.
  void product(const Matrix& m, const void* input, Epilogue epilogue, void* out, float* sums) {
    const kernels::Product p = product_of(m, input, epilogue, out, sums);
    in_pieces(m.panel_count, panel_grain, [&](int32_t panel_begin, int32_t panel_end, void* scratch) {
      sweep(p, 0, rows, panel_begin, panel_end, scratch);
    });
  }

  // The products of each expert's gathered rows with one of its matrices.
  void expert_products(const std::vector<Expert>& experts, const Matrix Expert::*matrix, const void* input,
                       Epilogue epilogue, void* out, float* sums) {
    const int32_t panels = (experts.front().*matrix).panel_count;
    in_pieces(int32_t(experts.size()) * panels, panel_grain, [&](int32_t begin, int32_t end, void* scratch) {
      while (begin < end) {
        const int32_t expert = begin / panels, first = begin % panels, last = std::min(panels, first + end - begin);
        const kernels::Product p = product_of(experts[size_t(expert)].*matrix, input, epilogue, out, sums);
        const int32_t row = w.routing.starts[expert];
        sweep(p, row, row + w.routing.counts[expert], first, last, scratch);
        begin += last - first;
      }
    });
  }

  // A part of a product, with the rows of one pass over the panels few enough to stay in the L2 cache.
  void sweep(kernels::Product p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end,
             void* scratch) {
    if (row_begin == row_end) return;
    p.scratch = scratch;
    const int64_t row_bytes = int64_t(kernels::activation_bytes(k.layout, row_grain, p.depth)) / row_grain;
    const int64_t fit = std::max<int64_t>(4 * row_grain, model.cache_bytes / 2 / row_bytes / row_grain * row_grain);
    const int32_t blocks = int32_t((row_end - row_begin + fit - 1) / fit);
    const int32_t step = ((row_end - row_begin + blocks - 1) / blocks + row_grain - 1) / row_grain * row_grain;
    for (int32_t row = row_begin; row < row_end; row += step) {
      k.product(p, row, std::min(row_end, row + step), panel_begin, panel_end);
    }
  }

  void norm(const NormWeights& weights, const float* in, float* out, void* activation, bool add_to_out) {
    const kernels::Norm p = {shape.architecture->norm, in, out, add_to_out, activation, weights.weight, weights.bias,
                             shape.epsilon, shape.width};
    in_pieces(rows, row_grain, [&](int32_t begin, int32_t end, void*) { k.norm(p, begin, end); });
  }

  // The input of a block: what norms before it make of the residual stream.
  const void* block_input(const NormWeights& weights) {
    if (shape.architecture->place == NormPlace::after) return in_place ? static_cast<void*>(hidden) : normed;
    if (weights.weight == nullptr) {
      if (in_place) return hidden;
      in_pieces(rows, row_grain, [&](int32_t begin, int32_t end, void*) {
        k.convert(hidden, normed, shape.width, begin, end);
      });
      return normed;
    }
    norm(weights, hidden, nullptr, normed, false);
    return normed;
  }

  // A block's last product and how it joins the residual stream.
  void block_output(const Matrix& m, const void* input, const NormWeights& after, const NormWeights& sandwich) {
    if (shape.architecture->place == NormPlace::sandwich) {
      product(m, input, Epilogue::store_f32, nullptr, w.branch);
      norm(sandwich, w.branch, hidden, nullptr, true);
      return;
    }
    product(m, input, Epilogue::add_f32, nullptr, hidden);
    norm_after(after);
  }

  void norm_after(const NormWeights& weights) {
    if (shape.architecture->place != NormPlace::after) return;
    norm(weights, hidden, hidden, in_place ? nullptr : normed, false);
  }

  void attention_block(int32_t index) {
    const LayerWeights& layer = model.weights.layers[size_t(index)];
    product(layer.qkv, block_input(layer.attention_norm), Epilogue::store, w.qkv, nullptr);
    rotate(layer, model.layer_rotations[size_t(index)]);
    const bool last = index == shape.layers - 1 && model.pooling != Pooling::mean;
    attend(shape.layer[size_t(index)], last);
    if (last) select_rows();
    block_output(layer.attention_out, w.attended, layer.attention_norm, layer.attention_out_norm);
  }

  void ffn_block(int32_t index) {
    const LayerWeights& layer = model.weights.layers[size_t(index)];
    const void* input = block_input(layer.ffn_norm);
    if (!layer.experts.empty()) {
      mixture(layer, input);
      norm_after(layer.ffn_norm);
      return;
    }
    product(layer.up, input, activation_epilogue(shape.activation, layer.up.gated), w.inner, nullptr);
    block_output(layer.down, w.inner, layer.ffn_norm, layer.ffn_out_norm);
  }

  // Each row goes through the experts that its logits choose, and their weighted sum joins the residual stream.
  void mixture(const LayerWeights& layer, const void* input) {
    product(layer.router, input, Epilogue::store_f32, nullptr, w.logits);
    route(input);
    const Epilogue activation = activation_epilogue(shape.activation, false);
    expert_products(layer.experts, &Expert::up, w.gathered, activation, w.inner, nullptr);
    expert_products(layer.experts, &Expert::down, w.inner, Epilogue::store_f32, nullptr, w.expert_out);
    add_experts();
  }

  void route(const void* input) {
    const int32_t used = shape.experts_used;
    const int64_t stride = kernels::row_stride(shape.experts);
    for (int32_t row = 0; row < rows; row++) {
      choose_experts(w.logits + row * stride, shape.experts, used, w.routing.experts + row * used,
                     w.routing.weights + row * used);
    }
    place_rows(w.routing, rows, shape.experts, used);
    in_pieces(rows, row_grain, [&](int32_t begin, int32_t end, void*) {
      for (int32_t i = begin * used; i < end * used; i++) {
        kernels::copy_row(k.layout, shape.width, input, i / used, w.gathered, w.routing.slots[i]);
      }
    });
  }

  // Adds a row's experts in their order, whichever rows they share the pass with.
  void add_experts() {
    const int32_t used = shape.experts_used;
    const int64_t stride = kernels::row_stride(shape.width);
    in_pieces(rows, row_grain, [&](int32_t begin, int32_t end, void*) {
      for (int32_t i = begin * used; i < end * used; i++) {
        float* row = hidden + i / used * stride;
        const float* one = w.expert_out + w.routing.slots[i] * stride;
        const float weight = w.routing.weights[i];
        for (int32_t c = 0; c < shape.width; c++) row[c] += weight * one[c];
      }
    });
  }

  void rotate(const LayerWeights& layer, const float* rotations) {
    if (rotations == nullptr && layer.query_norm == nullptr) return;
    const kernels::Rotation rotation = rotations == nullptr ? kernels::Rotation::none : kernels::Rotation::halves;
    kernels::HeadPass q = {w.qkv, shape.qkv_width(), 0, shape.heads, shape.head_size, layer.query_norm, shape.epsilon,
                           rotation, shape.rotated, rotations, w.positions};
    kernels::HeadPass key = q;
    key.first_column = shape.attention_width();
    key.heads = shape.kv_heads;
    key.norm_weight = layer.key_norm;
    in_pieces(rows, row_grain, [&](int32_t begin, int32_t end, void*) {
      k.heads(q, begin, end);
      k.heads(key, begin, end);
    });
  }

  // The query whose vector pooling reads.
  int32_t pooled_token(int32_t s) const { return model.pooling == Pooling::cls ? 0 : sequences[s].count - 1; }

  // In the last layer, where pooling reads one row of a sequence, only that query: its result goes to row s.
  void attend(const LayerShape& layer, bool last) {
    for (int32_t s = 0; s < count; s++) {
      kernels::Attention p = {w.qkv, w.starts[s], sequences[s].count, shape.heads, shape.kv_heads, shape.head_size,
                              shape.attention_scale, layer.span, layer.window, slopes(), w.attended, w.starts[s],
                              nullptr};
      int32_t query = 0, queries = sequences[s].count;
      if (last) {
        query = pooled_token(s);
        queries = 1;
        p.out_row = s - query;
      }
      // A task packs its head's keys once for all its queries, so it should have many.
      constexpr int32_t queries_at_once = 256;
      const int32_t step = team == nullptr ? queries : queries_at_once;
      const int32_t parts = (queries + step - 1) / step;
      each(shape.kv_heads * parts, [&](int32_t unit, void* scratch) {
        kernels::Attention mine = p;
        mine.scratch = scratch;
        const int32_t begin = query + unit % parts * step;
        k.attention(mine, unit / parts, begin, std::min(query + queries, begin + step));
      });
    }
  }

  const float* slopes() const { return shape.slopes.empty() ? nullptr : shape.slopes.data(); }

  void select_rows() {
    const int64_t stride = kernels::row_stride(shape.width);
    for (int32_t s = 0; s < count; s++) {
      std::memcpy(w.selected + s * stride, hidden + (w.starts[s] + pooled_token(s)) * stride,
                  size_t(stride) * sizeof(float));
    }
    hidden = w.selected;
    normed = w.selected_normed;
    rows = count;
  }

  void pool() {
    if (model.weights.output_norm.weight != nullptr) norm(model.weights.output_norm, hidden, hidden, nullptr, false);
    const bool dense = shape.dense_2_out != 0;
    const int64_t stride = kernels::row_stride(shape.width);
    for (int32_t s = 0; s < count; s++) {
      float* out = dense ? w.pooled + s * stride : sequences[s].row;
      if (model.pooling == Pooling::mean) {
        k.mean(hidden, shape.width, w.starts[s], w.starts[s] + sequences[s].count, out);
      } else {
        std::memcpy(out, hidden + s * stride, size_t(shape.width) * sizeof(float));
      }
    }
    if (dense) dense_heads();
  }

  void dense_heads() {
    rows = count;
    k.convert(w.pooled, w.pooled_activation, shape.width, 0, count);
    product(model.weights.dense_2, w.pooled_activation, Epilogue::store, w.dense_inner, nullptr);
    product(model.weights.dense_3, w.dense_inner, Epilogue::store_f32, nullptr, w.dense_out);
    for (int32_t s = 0; s < count; s++) {
      std::memcpy(sequences[s].row, w.dense_out + int64_t(s) * kernels::row_stride(shape.dense_3_out),
                  size_t(shape.dense_3_out) * sizeof(float));
    }
  }

  const Model& model;
  const ModelShape& shape;
  const Kernels& k;
  FusedWorkspace& w;
  const SequenceView* sequences;
  int32_t count;
  Team* team;     // nullptr: this thread alone
  bool in_place;
  int32_t rows = 0;          // of the matrices now: all tokens, or the rows pooling reads
  float* hidden = nullptr;
  void* normed = nullptr;
};

}  // namespace

void forward(const Model& model, FusedWorkspace& workspace, const SequenceView* sequences, int32_t count, Team& team,
             bool split, const std::atomic<bool>& cancelled) {
  if (split) {
    Pass(model, workspace, sequences, count, &team).run(cancelled);  // each task has a scope of its own
    return;
  }
  const KernelScope scope(*model.kernels);
  Pass(model, workspace, sequences, count, nullptr).run(cancelled);
}

}  // namespace inlay::fused
