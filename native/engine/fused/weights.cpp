#include "engine/fused/weights.h"

#include <algorithm>
#include <string>

#include "engine/fused/packing.h"
#include "failure.h"

namespace inlay::fused {
namespace {

using kernels::PanelType;

// Names the weights of a model, as the file's tensors, for a Packing.
class Assembly {
 public:
  Assembly(const gguf::Reader& file, const ModelShape& shape, const kernels::Kernels& kernels, Weights& weights)
      : shape(shape), weights(weights), packing(file, kernels) {
    embeddings();
    weights.layers.resize(size_t(shape.layers));
    for (int32_t i = 0; i < shape.layers; i++) layer(i);
    if (shape.architecture->place != NormPlace::after) {
      norm(weights.output_norm, "output_norm", shape.width, Need::required);
    }
    if (shape.dense_2_out != 0) {
      packing.matrix(weights.dense_2, {{"dense_2", shape.dense_2_out}}, shape.width, false, PanelType::native);
      packing.matrix(weights.dense_3, {{"dense_3", shape.dense_3_out}}, shape.dense_2_out, false, PanelType::native);
    }
    weights.flops_per_token = flops;
  }

  Packing& result() { return packing; }

 private:
  using Need = Packing::Need;

  void embeddings() {
    if (shape.architecture->positions == Positions::learned) {
      packing.rows(weights.positions, "position_embd.weight", shape.width, shape.context, Need::required);
    }
    packing.rows(weights.token_type, "token_types.weight", shape.width, 1, Need::optional);
    if (shape.architecture->embedding_norm) {
      norm(weights.embedding_norm, "token_embd_norm", shape.width, Need::required);
    }
  }

  void layer(int32_t index) {
    LayerWeights& layer = weights.layers[size_t(index)];
    const std::string at = "blk." + std::to_string(index) + ".";
    layer_norms(layer, at, index);
    if (shape.architecture->head_norms) {
      packing.vector(layer.query_norm, at + "attn_q_norm.weight", shape.head_size, Need::required);
      packing.vector(layer.key_norm, at + "attn_k_norm.weight", shape.head_size, Need::required);
    } else {
      packing.forbid(at + "attn_q_norm.weight");
      packing.forbid(at + "attn_k_norm.weight");
    }
    packing.forbid(at + "attn_norm_2.weight");

    const int32_t queries = shape.attention_width(), keys = shape.kv_heads * shape.head_size;
    if (packing.has(at + "attn_qkv.weight")) {
      packing.forbid(at + "attn_q.bias");
      product(layer.qkv, {{at + "attn_qkv", shape.qkv_width()}}, shape.width, false);
    } else {
      product(layer.qkv, {{at + "attn_q", queries}, {at + "attn_k", keys}, {at + "attn_v", keys}}, shape.width, false);
    }
    product(layer.attention_out, {{at + "attn_output", shape.width}}, queries, false);
    if (shape.layer[size_t(index)].mixture) mixture(layer, at);
    else feed_forward(layer, at);
  }

  void feed_forward(LayerWeights& layer, const std::string& at) {
    if (shape.architecture->ffn == Ffn::plain) {
      product(layer.up, {{at + "ffn_up", shape.ffn}}, shape.width, false);
    } else if (packing.has(at + "ffn_gate.weight")) {
      product(layer.up, {{at + "ffn_gate", shape.ffn}, {at + "ffn_up", shape.ffn}}, shape.width, true);
    } else {
      product(layer.up, {{at + "ffn_up", 2 * shape.ffn}}, shape.width, true);
    }
    product(layer.down, {{at + "ffn_down", shape.width}}, shape.ffn, false);
  }

  void mixture(LayerWeights& layer, const std::string& at) {
    for (const char* name : {"ffn_up_exps.bias", "ffn_down_exps.bias", "ffn_gate_exps.weight", "exp_probs_b.bias"}) {
      packing.forbid(at + name);
    }
    const double used = double(shape.experts_used) / shape.experts;
    // Its logits choose: floats whatever the precision.
    packing.matrix(layer.router, {{at + "ffn_gate_inp", shape.experts}}, shape.width, false, PanelType::native);
    flops += 2.0 * shape.experts * shape.width;
    layer.experts.resize(size_t(shape.experts));
    for (int32_t i = 0; i < shape.experts; i++) {
      Expert& expert = layer.experts[size_t(i)];
      product(expert.up, {{at + "ffn_up_exps", shape.ffn, shape.experts, i}}, shape.width, false, used);
      product(expert.down, {{at + "ffn_down_exps", shape.width, shape.experts, i}}, shape.ffn, false, used);
    }
  }

  void layer_norms(LayerWeights& layer, const std::string& at, int32_t index) {
    switch (shape.architecture->place) {
      case NormPlace::after:
        norm(layer.attention_norm, at + "attn_output_norm", shape.width, Need::required);
        norm(layer.ffn_norm, at + "layer_output_norm", shape.width, Need::required);
        break;
      case NormPlace::sandwich:
        norm(layer.attention_out_norm, at + "post_attention_norm", shape.width, Need::required);
        norm(layer.ffn_out_norm, at + "post_ffw_norm", shape.width, Need::required);
        [[fallthrough]];
      case NormPlace::before:
        // ModernBERT's first layer has none: the embeddings are normed already.
        norm(layer.attention_norm, at + "attn_norm", shape.width,
             index == 0 && shape.architecture->embedding_norm ? Need::optional : Need::required);
        norm(layer.ffn_norm, at + "ffn_norm", shape.width, Need::required);
        break;
    }
  }

  void norm(NormWeights& norm, const std::string& name, int32_t columns, Need need) {
    packing.vector(norm.weight, name + ".weight", columns, need);
    packing.vector(norm.bias, name + ".bias", columns, Need::optional);
  }

  // `used`: the share of tokens that go through it.
  void product(Matrix& matrix, std::vector<Packing::Piece> pieces, int32_t depth, bool gated, double used = 1) {
    for (const Packing::Piece& piece : pieces) flops += 2.0 * piece.rows * depth * used;
    packing.matrix(matrix, std::move(pieces), depth, gated, weights.layer_panels);
    weights.largest_depth = std::max(weights.largest_depth, depth);
  }

  const ModelShape& shape;
  Weights& weights;
  Packing packing;
  double flops = 0;
};

}  // namespace

Weights load_weights(const gguf::Reader& file, const ModelShape& shape, const kernels::Kernels& kernels, bool int8,
                     bool mmap) {
  Weights weights;
  weights.layer_panels = int8 ? PanelType::int8 : PanelType::native;
  for (const gguf::Tensor& tensor : file.tensors()) {
    weights.parameters += tensor.ne[0] * tensor.ne[1] * tensor.ne[2] * tensor.ne[3];
  }
  weights.largest_depth = shape.dense_2_out;
  Assembly assembly(file, shape, kernels, weights);
  Packing& packing = assembly.result();
  packing.token_table(weights.tokens, "token_embd.weight", shape.width, !mmap);
  weights.memory = packing.run();
  const gguf::Tensor& tokens = *file.tensor("token_embd.weight");
  if (!mmap) weights.table_bytes = tokens.bytes;
  if (mmap) {
    weights.mapping = FileMapping(file.descriptor(), tokens.offset, tokens.bytes);
    weights.tokens.rows = weights.mapping.data();
  }
  return weights;
}

void check_tensors(const gguf::Reader& file, const ModelShape& shape) {
  Weights weights;
  Assembly(file, shape, *kernels::find(kernels::Isa::scalar), weights)
      .result()
      .token_table(weights.tokens, "token_embd.weight", shape.width, false);
}

}  // namespace inlay::fused
