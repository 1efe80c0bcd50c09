#include "gguf/hparams.h"

#include <algorithm>
#include <cmath>

#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

enum class Kind { u32, f32, boolean, string, u32_or_layers };

// The types llama.cpp reads these keys as; it refuses any other.
const struct {
  const char* name;
  Kind kind;
} key_kinds[] = {
    {"context_length", Kind::u32},
    {"embedding_length", Kind::u32},
    {"embedding_length_out", Kind::u32},
    {"block_count", Kind::u32},
    {"nextn_predict_layers", Kind::u32},
    {"vocab_size", Kind::u32},
    {"pooling_type", Kind::u32},
    {"moe_every_n_layers", Kind::u32},
    {"expert_count", Kind::u32},
    {"expert_group_count", Kind::u32},
    {"expert_group_used_count", Kind::u32},
    {"expert_used_count", Kind::u32_or_layers},
    {"expert_weights_scale", Kind::f32},
    {"feed_forward_length", Kind::u32_or_layers},
    {"attention.head_count", Kind::u32_or_layers},
    {"attention.head_count_kv", Kind::u32_or_layers},
    {"attention.key_length", Kind::u32},
    {"attention.value_length", Kind::u32},
    {"attention.key_length_swa", Kind::u32},
    {"attention.value_length_swa", Kind::u32},
    {"attention.causal", Kind::boolean},
    {"attention.layer_norm_epsilon", Kind::f32},
    {"attention.layer_norm_rms_epsilon", Kind::f32},
    {"attention.scale", Kind::f32},
    {"attention.max_alibi_bias", Kind::f32},
    {"attention.sliding_window", Kind::u32},
    {"attention.sliding_window_pattern", Kind::u32_or_layers},
    {"rope.dimension_count", Kind::u32},
    {"rope.dimension_count_swa", Kind::u32},
    {"rope.freq_base", Kind::f32},
    {"rope.freq_base_swa", Kind::f32},
    {"rope.scale_linear", Kind::f32},
    {"rope.scaling.type", Kind::string},
    {"rope.scaling.factor", Kind::f32},
    {"rope.scaling.alpha", Kind::f32},
    {"rope.scaling.attn_factor", Kind::f32},
    {"rope.scaling.original_context_length", Kind::u32},
    {"rope.scaling.finetuned", Kind::boolean},
    {"hidden_activation", Kind::string},
    {"dense_2_feat_in", Kind::u32},
    {"dense_2_feat_out", Kind::u32},
    {"dense_3_feat_in", Kind::u32},
    {"dense_3_feat_out", Kind::u32},
};

bool matches(const Value& value, Kind kind) {
  switch (kind) {
    case Kind::u32: return value.type == ValueType::u32;
    case Kind::f32: return value.type == ValueType::f32;
    case Kind::boolean: return value.type == ValueType::boolean;
    case Kind::string: return value.type == ValueType::string;
    case Kind::u32_or_layers:
      return value.type == ValueType::u32 ||
             (value.type == ValueType::array &&
              (value.element == ValueType::u32 || value.element == ValueType::i32 ||
               value.element == ValueType::boolean));
  }
  return false;
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::u32: return "a uint32";
    case Kind::f32: return "a float32";
    case Kind::boolean: return "a bool";
    case Kind::string: return "a string";
    case Kind::u32_or_layers: return "a uint32, or an array with one integer for each layer";
  }
  return "";
}

class HParamChecker {
 public:
  HParamChecker(const Reader& file, const ValidateOptions& options, ValidationReport& report)
      : file(file), options(options), report(report) {
    h.architecture = find_architecture(file.architecture());
  }

  HParams run() {
    check_types();
    h.layers = required("block_count", 1, 128, "GGUF_HPARAM_LAYERS");
    h.width = required("embedding_length", 16, 16384, "GGUF_HPARAM_WIDTH");
    h.context = required("context_length", 8, 1 << 20, "GGUF_HPARAM_CONTEXT");
    h.ffn = per_layer("feed_forward_length", 1, 131072, "GGUF_HPARAM_FFN");
    check_heads();
    check_epsilon();
    check_rope();
    check_window();
    check_pooling();
    check_experts();
    check_dense_head();
    check_token_types();
    check_rest();
    return h;
  }

 private:
  std::string key(const char* name) const { return file.hparam_key(name); }

  void check_types() {
    for (const auto& [name, kind] : key_kinds) {
      const Value* value = file.find(key(name));
      if (value != nullptr && !matches(*value, kind)) {
        throw broken("GGUF_HPARAM_TYPE", key(name) + " must be " + kind_name(kind));
      }
    }
    const Value* name = file.find("general.name");
    if (name != nullptr && name->type != ValueType::string) {
      throw broken("GGUF_HPARAM_TYPE", "general.name must be a string");
    }
    const Value* file_type = file.find("general.file_type");
    if (file_type != nullptr && file_type->type != ValueType::u32) {
      throw broken("GGUF_HPARAM_TYPE", "general.file_type must be a uint32");
    }
  }

  [[noreturn]] void out_of_range(const char* name, uint64_t value, uint64_t least, uint64_t most, const char* rule) {
    throw broken(rule, key(name) + " is " + std::to_string(value) + "; expected " + std::to_string(least) + " to " +
                           std::to_string(most));
  }

  std::optional<uint64_t> optional(const char* name, uint64_t least, uint64_t most, const char* rule) {
    const auto value = file.integer(key(name));
    if (value && (*value < least || *value > most)) out_of_range(name, *value, least, most, rule);
    return value;
  }

  uint64_t required(const char* name, uint64_t least, uint64_t most, const char* rule) {
    const auto value = optional(name, least, most, rule);
    if (!value) throw broken("GGUF_HPARAM_MISSING", "key " + key(name) + " is missing");
    return *value;
  }

  // One value for all layers, or an array with one for each. The largest; 0 where the key is absent.
  uint64_t per_layer_or_absent(const char* name, uint64_t least, uint64_t most, const char* rule) {
    const Value* value = file.find(key(name));
    if (value == nullptr) return 0;
    if (value->type != ValueType::array) return required(name, least, most, rule);
    if (h.architecture->known_schema) {
      throw broken(rule, key(name) + " gives a value for each layer; " + h.architecture->name + " models have one");
    }
    if (value->count != h.layers) {
      throw broken(rule, key(name) + " has " + std::to_string(value->count) + " values for " +
                             std::to_string(h.layers) + " layers");
    }
    uint64_t largest = 0;
    for (const int64_t one : file.integers(key(name))) {
      if (one < 0 || static_cast<uint64_t>(one) > most) {
        throw broken(rule, key(name) + " has the value " + std::to_string(one) + " for a layer; expected 0 to " +
                               std::to_string(most));
      }
      largest = std::max(largest, static_cast<uint64_t>(one));
    }
    if (largest < least) throw broken(rule, key(name) + " is 0 for every layer");
    return largest;
  }

  uint64_t per_layer(const char* name, uint64_t least, uint64_t most, const char* rule) {
    const uint64_t value = per_layer_or_absent(name, least, most, rule);
    if (value == 0) throw broken("GGUF_HPARAM_MISSING", "key " + key(name) + " is missing");
    return value;
  }

  std::optional<double> number(const char* name, double least, double most, const char* rule) {
    const auto value = file.number(key(name));
    if (value && !(*value >= least && *value <= most)) {  // a NaN is outside too
      throw broken(rule, key(name) + " is " + std::to_string(*value) + "; expected a number from " +
                             std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
  }

  void check_heads() {
    h.heads = per_layer("attention.head_count", 1, 1024, "GGUF_HPARAM_HEADS");
    const bool kv_given = file.find(key("attention.head_count_kv")) != nullptr;
    h.kv_heads = kv_given ? per_layer_or_absent("attention.head_count_kv", 1, h.heads, "GGUF_HPARAM_HEADS") : h.heads;
    if (h.heads % h.kv_heads != 0) {
      throw broken("GGUF_HPARAM_HEADS", std::to_string(h.kv_heads) + " key/value heads do not divide " +
                                            std::to_string(h.heads) + " heads");
    }
    const auto key_size = optional("attention.key_length", 1, 1024, "GGUF_HPARAM_HEAD_SIZE");
    const auto value_size = optional("attention.value_length", 1, 1024, "GGUF_HPARAM_HEAD_SIZE");
    if ((!key_size || !value_size) && h.width % h.heads != 0) {
      throw broken("GGUF_HPARAM_HEADS", std::to_string(h.heads) + " heads do not divide the width of " +
                                            std::to_string(h.width));
    }
    h.head_size = key_size.value_or(h.width / h.heads);
    if (value_size.value_or(h.width / h.heads) != h.head_size) {
      throw broken("GGUF_HPARAM_HEAD_SIZE", "key and value heads differ in size: " + std::to_string(h.head_size) +
                                                " and " + std::to_string(value_size.value_or(h.width / h.heads)));
    }
    const std::string_view name = h.architecture->name;
    const bool own_head_size = name == "qwen3" || name == "gemma-embedding" || !h.architecture->known_schema;
    if (!own_head_size && h.heads * h.head_size != h.width) {
      throw broken("GGUF_HPARAM_HEAD_SIZE", std::to_string(h.heads) + " heads of " + std::to_string(h.head_size) +
                                                " do not make up the width of " + std::to_string(h.width));
    }
    if (name == "modern-bert" && h.kv_heads != h.heads) {
      throw broken("GGUF_HPARAM_HEADS", "modern-bert has as many key/value heads as heads");
    }
    for (const char* swa : {"attention.key_length_swa", "attention.value_length_swa"}) {
      const auto size = optional(swa, 1, 1024, "GGUF_HPARAM_HEAD_SIZE");
      if (size && *size != h.head_size) {
        throw broken("GGUF_HPARAM_HEAD_SIZE", key(swa) + " is " + std::to_string(*size) + "; expected " +
                                                  std::to_string(h.head_size));
      }
    }
  }

  void check_epsilon() {
    // The lower bound leaves room for 1e-14; 1e-12 is BERT's own.
    if (!number(h.architecture->epsilon, 1e-15, 1e-2, "GGUF_HPARAM_EPS")) {
      throw broken("GGUF_HPARAM_MISSING", "key " + key(h.architecture->epsilon) + " is missing");
    }
  }

  void check_rope() {
    if (h.architecture->rotary && h.head_size % 2 != 0) {
      throw broken("GGUF_HPARAM_ROPE", "rotary positions need heads of even size, found " + std::to_string(h.head_size));
    }
    for (const char* name : {"rope.dimension_count", "rope.dimension_count_swa"}) {
      const auto rotated = optional(name, 1, 1024, "GGUF_HPARAM_ROPE");
      if (rotated && h.architecture->rotary && *rotated != h.head_size) {
        throw broken("GGUF_HPARAM_ROPE", key(name) + " is " + std::to_string(*rotated) + "; expected the head size, " +
                                             std::to_string(h.head_size));
      }
    }
    number("rope.freq_base", 1, 1e9, "GGUF_HPARAM_ROPE");
    number("rope.freq_base_swa", 1, 1e9, "GGUF_HPARAM_ROPE");
    // 0 stands for 1, as no scaling.
    number("rope.scaling.factor", 0, 1e4, "GGUF_HPARAM_ROPE");
    number("rope.scale_linear", 0, 1e4, "GGUF_HPARAM_ROPE");
    number("rope.scaling.alpha", 0, 1e6, "GGUF_HPARAM_ROPE");
    number("rope.scaling.attn_factor", 0, 1e4, "GGUF_HPARAM_ROPE");
    optional("rope.scaling.original_context_length", 1, 1 << 20, "GGUF_HPARAM_ROPE");
    const std::string_view scaling = file.string(key("rope.scaling.type")).value_or("linear");
    if (scaling != "none" && scaling != "linear" && scaling != "yarn" && scaling != "longrope") {
      throw broken("GGUF_HPARAM_ROPE", key("rope.scaling.type") + " is " + printable(scaling) +
                                           "; expected none, linear, yarn or longrope");
    }
  }

  void check_window() {
    optional("attention.sliding_window", 0, 1 << 20, "GGUF_HPARAM_WINDOW");
    if (std::string_view(h.architecture->name) == "gemma-embedding") {
      required("attention.sliding_window", 1, 1 << 20, "GGUF_HPARAM_WINDOW");
    }
    const Value* pattern = file.find(key("attention.sliding_window_pattern"));
    if (pattern != nullptr && pattern->type != ValueType::array) {
      required("attention.sliding_window_pattern", 1, 128, "GGUF_HPARAM_WINDOW");
    } else if (pattern != nullptr && pattern->count != h.layers) {
      throw broken("GGUF_HPARAM_WINDOW", key("attention.sliding_window_pattern") + " has " +
                                             std::to_string(pattern->count) + " values for " +
                                             std::to_string(h.layers) + " layers");
    }
    check_window_mix(pattern);
  }

  // llama.cpp prepares a mask for each of the two kinds of layers and asserts that both are used.
  void check_window_mix(const Value* pattern) {
    const std::string_view name = h.architecture->name;
    const uint64_t assumed = name == "gemma-embedding" || name == "gemma3" ? 6
                             : name == "modern-bert"                       ? 3
                             : name == "gemma2"                            ? 2
                                                                           : 0;
    if (assumed == 0 || file.integer(key("attention.sliding_window")).value_or(0) == 0) return;
    uint64_t sliding = 0;
    if (pattern != nullptr && pattern->type == ValueType::array) {
      for (const int64_t one : file.integers(key("attention.sliding_window_pattern"))) sliding += one != 0;
    } else {
      const uint64_t every = file.integer(key("attention.sliding_window_pattern")).value_or(assumed);
      // One layer of `every` attends fully: the first in modern-bert, the last elsewhere.
      const uint64_t full = name == "modern-bert" ? (h.layers + every - 1) / every : h.layers / every;
      sliding = h.layers - full;
    }
    if (sliding == 0 || sliding == h.layers) {
      throw broken("GGUF_HPARAM_WINDOW", std::to_string(sliding) + " of " + std::to_string(h.layers) +
                                             " layers attend within a window (" +
                                             key("attention.sliding_window_pattern") + "); expected some, not all");
    }
  }

  void check_pooling() {
    const auto pooling = file.integer(key("pooling_type"));
    if (!pooling) {
      if (options.pooling_given) return;
      throw broken("GGUF_HPARAM_MISSING", "key " + key("pooling_type") + " is missing");
    }
    // 0 (none) and 4 (rank) were answered by check_kind.
    if (*pooling > 4 || (!options.pooling_given && (*pooling == 0 || *pooling == 4))) {
      throw broken("GGUF_HPARAM_POOLING", key("pooling_type") + " is " + std::to_string(*pooling) +
                                              "; expected 1 (mean), 2 (cls) or 3 (last)");
    }
  }

  void check_experts() {
    const bool may_have = std::string_view(h.architecture->name) == "nomic-bert-moe";
    h.experts = optional("expert_count", 0, may_have ? 128 : 0, "GGUF_HPARAM_EXPERTS").value_or(0);
    for (const char* name : {"expert_group_count", "expert_group_used_count"}) {
      optional(name, 0, 0, "GGUF_HPARAM_EXPERTS");
    }
    const uint64_t used = file.find(key("expert_used_count")) == nullptr
                              ? 0
                              : per_layer_or_absent("expert_used_count", 0, h.experts, "GGUF_HPARAM_EXPERTS");
    number("expert_weights_scale", 0, 1e4, "GGUF_HPARAM_EXPERTS");
    if (!may_have) return;
    h.experts_every = required("moe_every_n_layers", 0, h.layers, "GGUF_HPARAM_EXPERTS");
    if (h.experts_every > 0 && (h.experts == 0 || used == 0)) {
      throw broken("GGUF_HPARAM_EXPERTS", "every " + std::to_string(h.experts_every) + "th layer has experts, but " +
                                              key("expert_count") + " is " + std::to_string(h.experts) + " and " +
                                              key("expert_used_count") + " is " + std::to_string(used));
    }
    if (h.experts > 0 && used == 0) throw broken("GGUF_HPARAM_MISSING", "key " + key("expert_used_count") + " is missing");
  }

  void check_dense_head() {
    const char* rule = "GGUF_HPARAM_DENSE";
    const uint64_t in_2 = optional("dense_2_feat_in", 0, 65536, rule).value_or(0);
    const uint64_t in_3 = optional("dense_3_feat_in", 0, 65536, rule).value_or(0);
    const uint64_t out_3 = optional("dense_3_feat_out", 0, 65536, rule).value_or(0);
    h.dense_2_out = optional("dense_2_feat_out", 0, 65536, rule).value_or(0);
    h.dense_3_in = in_3;
    if (in_2 == 0 && h.dense_2_out == 0 && in_3 == 0 && out_3 == 0) return;
    if (in_2 != h.width || h.dense_2_out != in_3 || h.dense_2_out == 0 || out_3 != h.width) {
      throw broken(rule, "the dense head does not fit together: " + std::to_string(in_2) + " to " +
                             std::to_string(h.dense_2_out) + ", then " + std::to_string(in_3) + " to " +
                             std::to_string(out_3) + "; it must start and end at the width of " +
                             std::to_string(h.width));
    }
  }

  void check_token_types() {
    if (!h.architecture->token_types) return;
    const Value* count = file.find("tokenizer.ggml.token_type_count");
    if (count == nullptr) throw broken("GGUF_HPARAM_MISSING", "key tokenizer.ggml.token_type_count is missing");
    if (count->type != ValueType::u32 || count->bits < 1 || count->bits > 64) {
      throw broken("GGUF_HPARAM_TOKEN_TYPES", "tokenizer.ggml.token_type_count must be a uint32 from 1 to 64");
    }
    h.token_types = count->bits;
  }

  void check_rest() {
    if (h.architecture->encoder && file.boolean(key("attention.causal")).value_or(false)) {
      throw broken("GGUF_HPARAM_CAUSAL", key("attention.causal") + " is true, but " + h.architecture->name +
                                             " models attend in both directions");
    }
    const auto out = file.integer(key("embedding_length_out"));
    if (out && *out != h.width) {
      throw broken("GGUF_HPARAM_OUTPUT", key("embedding_length_out") + " is " + std::to_string(*out) +
                                             ", but the last layer gives " + std::to_string(h.width) + " numbers");
    }
    optional("nextn_predict_layers", 0, 0, "GGUF_HPARAM_NEXTN");
    number("attention.max_alibi_bias", 0, 1e3, "GGUF_HPARAM_ALIBI");
    number("attention.scale", 0, 1e3, "GGUF_HPARAM_SCALE");
    const auto activation = file.string(key("hidden_activation"));
    if (activation && *activation != "gelu" && *activation != "geglu" && *activation != "silu" &&
        *activation != "swiglu") {
      throw unsupported("GGUF_HPARAM_ACTIVATION", key("hidden_activation") + " is " + printable(*activation) +
                                                      "; inlay computes gelu and silu");
    }
    const auto vocabulary = file.integer(key("vocab_size"));
    const uint64_t tokens = file.strings("tokenizer.ggml.tokens").size();
    if (vocabulary && *vocabulary != tokens) {
      report.warnings.push_back(key("vocab_size") + " says " + std::to_string(*vocabulary) + " tokens; the vocabulary "
                                "has " + std::to_string(tokens) + ", which counts");
    }
  }

  const Reader& file;
  const ValidateOptions& options;
  ValidationReport& report;
  HParams h{};
};

}  // namespace

HParams check_hparams(const Reader& file, const ValidateOptions& options, ValidationReport& report) {
  return HParamChecker(file, options, report).run();
}

}  // namespace inlay::gguf
