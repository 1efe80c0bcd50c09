#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gguf_writer.h"

namespace inlay::test {

using gguf::TensorType;

// A model with pseudo-random weights, without a vocabulary: for tests and benchmarks of the forward pass alone.
struct ModelSpec {
  std::string architecture = "bert";
  uint32_t width = 384;
  uint32_t layers = 6;
  uint32_t heads = 12;
  uint32_t kv_heads = 12;
  uint32_t head_size = 32;
  uint32_t ffn = 1536;
  uint32_t context = 512;
  uint32_t vocabulary = 1000;
  uint32_t window = 0;
  uint32_t window_pattern = 0;
  uint32_t pooling = 1;
  uint32_t dense_inner = 0;
  bool biased = true;
  bool fused_qkv = false;
  TensorType type = TensorType::f32;
  uint32_t experts = 0;
  uint32_t experts_used = 0;
  uint32_t experts_every = 0;

  bool is(const char* name) const { return architecture == name; }
  bool rms() const { return is("qwen3") || is("gemma-embedding") || is("eurobert"); }
  bool post_norm() const { return is("bert") || is("nomic-bert") || is("nomic-bert-moe") || is("jina-bert-v2"); }
  bool gated() const { return !is("bert") && !is("nomic-bert-moe"); }
  bool gate_in_up() const { return is("modern-bert") || is("jina-bert-v2"); }
  bool mixture(uint32_t layer) const { return experts_every > 0 && layer % experts_every == 1; }
};

class ModelWriter {
 public:
  ModelWriter(const ModelSpec& spec, uint32_t seed) : spec(spec), state(seed * 2654435761u + 1) {
    hparams();
    matrix("token_embd.weight", spec.width, spec.vocabulary, 1.0f);
    if (spec.is("bert")) vector("position_embd.weight", spec.width, spec.context, 0.5f, 0);
    if (spec.post_norm()) vector("token_types.weight", spec.width, 2, 0.5f, 0);
    if (spec.post_norm() || spec.is("modern-bert")) norm("token_embd_norm", spec.width);
    for (uint32_t i = 0; i < spec.layers; i++) layer(i);
    if (!spec.post_norm()) norm("output_norm", spec.width);
    if (spec.dense_inner != 0) {
      file.u32(key("dense_2_feat_out"), spec.dense_inner);
      file.u32(key("dense_3_feat_out"), spec.width);
      matrix("dense_2.weight", spec.width, spec.dense_inner);
      matrix("dense_3.weight", spec.dense_inner, spec.width);
    }
  }

  gguf::test::FileWriter file;

 private:
  std::string key(const char* name) const { return spec.architecture + "." + name; }

  void hparams() {
    file.text("general.architecture", spec.architecture);
    file.u32(key("context_length"), spec.context);
    file.u32(key("embedding_length"), spec.width);
    file.u32(key("block_count"), spec.layers);
    file.u32(key("feed_forward_length"), spec.ffn);
    file.u32(key("attention.head_count"), spec.heads);
    file.u32(key("attention.head_count_kv"), spec.kv_heads);
    file.u32(key("attention.key_length"), spec.head_size);
    file.u32(key("attention.value_length"), spec.head_size);
    file.u32(key("pooling_type"), spec.pooling);
    file.f32(key(spec.rms() ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"), 1e-6f);
    if (spec.window != 0) {
      file.u32(key("attention.sliding_window"), spec.window);
      file.u32(key("attention.sliding_window_pattern"), spec.window_pattern);
      file.f32(key("rope.freq_base"), 160000.0f);
      file.f32(key("rope.freq_base_swa"), 10000.0f);
    }
    if (spec.is("nomic-bert-moe")) {
      file.u32(key("moe_every_n_layers"), spec.experts_every);
      file.u32(key("expert_count"), spec.experts);
      file.u32(key("expert_used_count"), spec.experts_used);
    }
  }

  void layer(uint32_t index) {
    const std::string at = "blk." + std::to_string(index) + ".";
    const uint32_t q = spec.heads * spec.head_size, kv = spec.kv_heads * spec.head_size;
    if (spec.post_norm()) {
      norm(at + "attn_output_norm", spec.width);
      norm(at + "layer_output_norm", spec.width);
    } else {
      if (index != 0 || !spec.is("modern-bert")) norm(at + "attn_norm", spec.width);
      norm(at + "ffn_norm", spec.width);
    }
    if (spec.is("gemma-embedding")) {
      norm(at + "post_attention_norm", spec.width);
      norm(at + "post_ffw_norm", spec.width);
    }
    if (spec.is("gemma-embedding") || spec.is("qwen3")) {
      norm(at + "attn_q_norm", spec.head_size);
      norm(at + "attn_k_norm", spec.head_size);
    }
    if (spec.fused_qkv) {
      product(at + "attn_qkv", spec.width, q + 2 * kv);
    } else {
      product(at + "attn_q", spec.width, q);
      product(at + "attn_k", spec.width, kv);
      product(at + "attn_v", spec.width, kv);
    }
    product(at + "attn_output", q, spec.width);
    if (spec.mixture(index)) {
      mixture(at);
      return;
    }
    product(at + "ffn_up", spec.width, spec.gate_in_up() ? 2 * spec.ffn : spec.ffn);
    if (spec.gated() && !spec.gate_in_up()) product(at + "ffn_gate", spec.width, spec.ffn);
    product(at + "ffn_down", spec.ffn, spec.width);
  }

  void mixture(const std::string& at) {
    matrix(at + "ffn_gate_inp.weight", spec.width, spec.experts, 2.0f / std::sqrt(float(spec.width)));
    matrix(at + "ffn_up_exps.weight", spec.width, spec.ffn, 1.5f / std::sqrt(float(spec.width)), spec.experts);
    matrix(at + "ffn_down_exps.weight", spec.ffn, spec.width, 1.5f / std::sqrt(float(spec.ffn)), spec.experts);
  }

  void norm(const std::string& name, uint32_t columns) {
    vector(name + ".weight", columns, 1, 0.1f, 1);
    if (spec.post_norm()) vector(name + ".bias", columns, 1, 0.1f, 0);
  }

  void product(const std::string& name, uint32_t depth, uint32_t rows) {
    matrix(name + ".weight", depth, rows, 1.5f / std::sqrt(float(depth)));
    if (spec.biased && spec.post_norm()) vector(name + ".bias", rows, 1, 0.1f, 0);
  }

  // About normal: the sum of four uniform numbers.
  float random() {
    float sum = 0;
    for (int i = 0; i < 4; i++) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      sum += float(state >> 8) * 0x1p-24f - 0.5f;
    }
    return sum * 1.7320508f;
  }

  static uint16_t half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const int32_t exponent = int32_t(bits >> 23 & 0xff) - 112;
    if (exponent <= 0) return uint16_t(bits >> 16 & 0x8000);
    return uint16_t((bits >> 16 & 0x8000) | uint32_t(exponent) << 10 | (bits >> 13 & 0x3ff));
  }

  // Of three dimensions where there are slices.
  void matrix(const std::string& name, uint32_t columns, uint32_t rows, float scale = 0.1f, uint32_t slices = 0) {
    const size_t count = size_t(columns) * rows * std::max(1u, slices);
    std::string bytes(count * (spec.type == TensorType::f16 ? 2 : 4), '\0');
    for (size_t i = 0; i < count; i++) {
      const float value = random() * scale;
      const uint16_t narrow = half(value);
      if (spec.type == TensorType::f16) std::memcpy(&bytes[i * 2], &narrow, 2);
      else std::memcpy(&bytes[i * 4], &value, 4);
    }
    std::vector<uint64_t> shape = {columns, rows};
    if (slices > 0) shape.push_back(slices);
    file.tensors.push_back({name, shape, uint32_t(spec.type), std::move(bytes), {}});
  }

  void vector(const std::string& name, uint32_t columns, uint32_t rows, float scale, float center) {
    const size_t count = size_t(columns) * rows;
    std::string bytes(count * 4, '\0');
    for (size_t i = 0; i < count; i++) {
      const float value = random() * scale + center;
      std::memcpy(&bytes[i * 4], &value, 4);
    }
    std::vector<uint64_t> shape = {columns};
    if (rows > 1) shape.push_back(rows);
    file.tensors.push_back({name, shape, uint32_t(TensorType::f32), std::move(bytes), {}});
  }

  ModelSpec spec;
  uint32_t state;
};

// A file that goes when this does.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    const char* folder = std::getenv("TMPDIR");
    name = std::string(folder == nullptr ? "/tmp" : folder) + "/inlay-test-XXXXXX";
    const int descriptor = mkstemp(name.data());
    FILE* file = descriptor < 0 ? nullptr : fdopen(descriptor, "wb");
    if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size()) std::abort();
    std::fclose(file);
  }
  ~TemporaryFile() { unlink(name.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return name; }

 private:
  std::string name;
};

}  // namespace inlay::test
