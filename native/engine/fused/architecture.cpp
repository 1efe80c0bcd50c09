#include "engine/fused/architecture.h"

#include <algorithm>
#include <cmath>

#include "failure.h"

namespace inlay::fused {
namespace {

using kernels::NormKind;

// The table's words.
constexpr NormKind layer = NormKind::layer, rms = NormKind::rms;
constexpr NormPlace after = NormPlace::after, before = NormPlace::before, sandwich = NormPlace::sandwich;
constexpr Positions learned = Positions::learned, rotary = Positions::rotary, alibi = Positions::alibi;
constexpr Ffn plain = Ffn::plain, gated = Ffn::gated;
constexpr Activation gelu_erf = Activation::gelu_erf, gelu_tanh = Activation::gelu_tanh, silu = Activation::silu;
constexpr bool yes = true, no = false;

// Columns in the order of Architecture's members.
const Architecture architectures[] = {
    // name             norm   place     positions causal heads ffn    activation embed scaled window first dense MoE
    {"bert",            layer, after,    learned,  no,    no,   plain, gelu_erf,  yes,  no,    0,     no,   no,   no},
    {"nomic-bert",      layer, after,    rotary,   no,    no,   gated, silu,      yes,  no,    0,     no,   no,   no},
    {"nomic-bert-moe",  layer, after,    rotary,   no,    no,   plain, gelu_erf,  yes,  no,    0,     no,   no,   yes},
    {"jina-bert-v2",    layer, after,    alibi,    no,    no,   gated, gelu_erf,  yes,  no,    0,     no,   no,   no},
    {"modern-bert",     layer, before,   rotary,   no,    no,   gated, gelu_erf,  yes,  no,    3,     yes,  no,   no},
    {"eurobert",        rms,   before,   rotary,   no,    no,   gated, silu,      no,   no,    0,     no,   no,   no},
    {"qwen3",           rms,   before,   rotary,   yes,   yes,  gated, silu,      no,   no,    0,     no,   no,   no},
    {"gemma-embedding", rms,   sandwich, rotary,   no,    yes,  gated, gelu_tanh, no,   yes,   6,     no,   yes,  no},
};

[[noreturn]] void unsupported(const std::string& what) { throw Failure(FailureCode::model_unsupported, what); }
[[noreturn]] void invalid(const std::string& what) { throw Failure(FailureCode::model_invalid, what); }

constexpr uint64_t largest_size = 1 << 20;  // of any one dimension, so that products of two fit in 64 bits with ease

// `otherwise`: the value where the file has none; 0: it must have one.
int32_t size(const gguf::Reader& file, const char* name, uint64_t otherwise = 0) {
  const std::string key = file.hparam_key(name);
  const uint64_t value = file.integer(key).value_or(otherwise);
  if (value == 0 || value > largest_size) {
    invalid("the model file's " + key + " is missing or out of range; expected 1 to " + std::to_string(largest_size));
  }
  return int32_t(value);
}

float number(const gguf::Reader& file, const char* name, double otherwise) {
  return float(file.number(file.hparam_key(name)).value_or(otherwise));
}

Pooling read_pooling(const gguf::Reader& file) {
  const auto value = file.integer(file.hparam_key("pooling_type"));
  if (!value) return Pooling::unspecified;
  if (*value < 1 || *value > 3) {
    unsupported("the model's pooling type is " + std::to_string(*value) + "; expected mean (1), CLS (2) or last (3)");
  }
  return Pooling(int32_t(*value));
}

float read_position_scale(const gguf::Reader& file) {
  const std::string_view type = file.string(file.hparam_key("rope.scaling.type")).value_or("linear");
  if (type == "none") return 1.0f;
  if (type != "linear") unsupported("RoPE scaling of type " + std::string(type) + " is not done by the fused engine");
  double factor = file.number(file.hparam_key("rope.scaling.factor")).value_or(0.0);
  if (factor == 0) factor = file.number(file.hparam_key("rope.scale_linear")).value_or(0.0);
  return factor == 0 ? 1.0f : float(1.0 / factor);
}

Activation read_activation(const gguf::Reader& file, Activation usual) {
  const auto name = file.string(file.hparam_key("hidden_activation"));
  if (!name) return usual;
  if (*name == "silu" || *name == "swish") return Activation::silu;
  if (*name == "gelu_pytorch_tanh" || *name == "gelu_new") return Activation::gelu_tanh;
  if (*name == "gelu") return usual == Activation::silu ? Activation::gelu_erf : usual;
  unsupported("the activation " + std::string(*name) + " is not done by the fused engine");
}

// True for the layers that attend in a window.
std::vector<bool> windowed_layers(const gguf::Reader& file, const Architecture& architecture, int32_t layers) {
  const std::string key = file.hparam_key("attention.sliding_window_pattern");
  std::vector<bool> windowed(static_cast<size_t>(layers), false);
  const gguf::Value* value = file.find(key);
  if (value != nullptr && value->type == gguf::ValueType::array) {
    if (value->count < uint64_t(layers) || value->elements == nullptr ||
        value->element != gguf::ValueType::boolean) {
      unsupported("the model file's " + key + " is not one flag for each layer");
    }
    for (int32_t i = 0; i < layers; i++) windowed[size_t(i)] = value->elements[i] != 0;
    return windowed;
  }
  const auto period = file.integer(key).value_or(uint64_t(architecture.window_pattern));
  for (int32_t i = 0; i < layers; i++) {
    const uint64_t at = period == 0 ? 0 : uint64_t(i) % period;
    windowed[size_t(i)] = period == 0 || (architecture.full_layer_first ? at != 0 : at + 1 < period);
  }
  return windowed;
}

void read_layers(const gguf::Reader& file, ModelShape& shape) {
  const bool causal = file.boolean(file.hparam_key("attention.causal")).value_or(shape.architecture->causal);
  const float base = number(file, "rope.freq_base", 10000.0);
  const LayerShape full = {causal ? kernels::Span::causal : kernels::Span::full, 0, base, false};
  shape.layer.assign(size_t(shape.layers), full);
  const uint64_t window = file.integer(file.hparam_key("attention.sliding_window")).value_or(0);
  if (shape.architecture->window_pattern == 0 || window == 0) return;
  if (causal) unsupported("a causal sliding window is not done by the fused engine");
  // A symmetric window of w counts both sides: |i - j| <= w / 2.
  const LayerShape local = {kernels::Span::window, int32_t(std::min<uint64_t>(window, largest_size) / 2),
                            number(file, "rope.freq_base_swa", 10000.0), false};
  const std::vector<bool> windowed = windowed_layers(file, *shape.architecture, shape.layers);
  for (size_t i = 0; i < windowed.size(); i++) {
    if (windowed[i]) shape.layer[i] = local;
  }
}

void read_experts(const gguf::Reader& file, ModelShape& shape) {
  const uint64_t every = file.integer(file.hparam_key("moe_every_n_layers")).value_or(0);
  if (!shape.architecture->experts || every == 0) return;
  shape.experts = size(file, "expert_count");
  shape.experts_used = size(file, "expert_used_count");
  if (shape.experts > 1024) invalid("the model has more than 1024 experts");
  if (shape.experts_used > shape.experts) invalid("the model uses more experts than it has");
  const float scale = number(file, "expert_weights_scale", 1.0);
  if ((scale != 0 && scale != 1) || file.boolean(file.hparam_key("expert_weights_norm")).value_or(false)) {
    unsupported("scaled or normalised weights of experts are not done by the fused engine");
  }
  for (size_t i = 0; i < shape.layer.size(); i++) shape.layer[i].mixture = i % every == 1;
}

// Press, Smith & Lewis, 2022: powers of 2^(-8 / n) for n heads, a power of two; further heads take the odd powers
// of the series for 2 n heads.
std::vector<float> alibi_slopes(int32_t heads) {
  int32_t power = 1;
  while (power * 2 <= heads) power *= 2;
  std::vector<float> slopes;
  for (int32_t h = 0; h < heads; h++) {
    const double exponent = h < power ? -8.0 * (h + 1) / power : -4.0 * (2 * (h - power) + 1) / power;
    slopes.push_back(float(std::exp2(exponent)));
  }
  return slopes;
}

void read_heads(const gguf::Reader& file, ModelShape& shape) {
  shape.heads = size(file, "attention.head_count");
  shape.kv_heads = size(file, "attention.head_count_kv", uint64_t(shape.heads));
  if (shape.heads % shape.kv_heads != 0) invalid("the model's query heads are no multiple of its key heads");
  const uint64_t even = shape.width % shape.heads == 0 ? uint64_t(shape.width / shape.heads) : 0;
  shape.head_size = size(file, "attention.key_length", even);
  if (size(file, "attention.value_length", even) != shape.head_size) {
    unsupported("heads whose keys and values differ in size are not done by the fused engine");
  }
  if (shape.head_size > 256) unsupported("heads of more than 256 elements are not done by the fused engine");
  if (shape.heads > 4096) invalid("the model has more than 4096 heads");
  shape.attention_scale = 1.0f / std::sqrt(float(shape.head_size));
  if (shape.architecture->positions == Positions::alibi) shape.slopes = alibi_slopes(shape.heads);
  shape.rotated = 0;
  if (shape.architecture->positions == Positions::rotary) {
    shape.rotated = size(file, "rope.dimension_count", uint64_t(shape.head_size));
    if (shape.rotated > shape.head_size || shape.rotated % 2 != 0) {
      invalid("RoPE over " + std::to_string(shape.rotated) + " elements does not fit heads of " +
              std::to_string(shape.head_size));
    }
  }
}

}  // namespace

const Architecture* find_architecture(const std::string& name) {
  for (const Architecture& architecture : architectures) {
    if (name == architecture.name) return &architecture;
  }
  return nullptr;
}

ModelShape read_shape(const gguf::Reader& file) {
  ModelShape shape = {};
  shape.architecture = find_architecture(file.architecture());
  if (shape.architecture == nullptr) {
    unsupported("the fused engine does not know the architecture \"" + file.architecture() + "\"");
  }
  shape.width = size(file, "embedding_length");
  shape.layers = size(file, "block_count");
  shape.ffn = size(file, "feed_forward_length");
  shape.context = size(file, "context_length");
  if (shape.layers > 1024) invalid("the model has more than 1024 layers");
  read_heads(file, shape);
  const bool rms = shape.architecture->norm == NormKind::rms;
  shape.epsilon = number(file, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", NAN);
  if (!(shape.epsilon >= 0 && shape.epsilon < 1)) invalid("the model file has no epsilon for its norms in [0, 1)");
  shape.activation = read_activation(file, shape.architecture->activation);
  if (shape.architecture->ffn == Ffn::plain && shape.activation == Activation::silu) {
    unsupported("SiLU without a gate is not done by the fused engine");
  }
  shape.pooling = read_pooling(file);
  shape.position_scale = read_position_scale(file);
  read_layers(file, shape);
  read_experts(file, shape);

  const gguf::Tensor* tokens = file.tensor("token_embd.weight");
  if (tokens == nullptr) invalid("the model file has no tensor token_embd.weight");
  if (tokens->ne[1] == 0 || tokens->ne[1] > uint64_t(1) << 24) invalid("the model's vocabulary is too large or empty");
  shape.vocabulary = int32_t(tokens->ne[1]);

  if (shape.architecture->dense_heads && file.tensor("dense_2.weight") != nullptr) {
    shape.dense_2_out = size(file, "dense_2_feat_out");
    shape.dense_3_out = size(file, "dense_3_feat_out", uint64_t(shape.width));
  }
  return shape;
}

}  // namespace inlay::fused
