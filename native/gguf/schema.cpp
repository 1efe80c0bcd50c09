#include "gguf/schema.h"

#include <algorithm>
#include <unordered_map>

#include "gguf/contents.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

class SchemaBuilder {
 public:
  SchemaBuilder(const Reader& file, const HParams& h, uint64_t tokens) : file(file), h(h), tokens(tokens) {}

  std::vector<ExpectedTensor> run() {
    const std::string_view name = h.architecture->name;
    need("token_embd.weight", Role::matrix, {h.width, tokens});
    if (name == "modern-bert") {
      modern_bert();
    } else if (name == "gemma-embedding") {
      gemma_embedding();
    } else if (name == "qwen3" || name == "eurobert") {
      pre_norm_decoder(name == "qwen3");
    } else {
      bert_family(name);
    }
    return std::move(list);
  }

 private:
  void need(const std::string& name, Role role, std::vector<uint64_t> shape) {
    list.push_back({name, role, std::move(shape), true});
  }

  void may(const std::string& name, Role role, std::vector<uint64_t> shape) {
    list.push_back({name, role, std::move(shape), false});
  }

  // Query, key and value as one matrix or as three.
  void attention_inputs(uint64_t layer) {
    const uint64_t q = h.heads * h.head_size, kv = h.kv_heads * h.head_size;
    if (file.tensor(block(layer) + "attn_qkv.weight") != nullptr) {
      linear(layer, "attn_qkv", h.width, q + 2 * kv);
      return;
    }
    linear(layer, "attn_q", h.width, q);
    linear(layer, "attn_k", h.width, kv);
    linear(layer, "attn_v", h.width, kv);
  }

  void norm(const std::string& name) {
    need(name + ".weight", Role::vector, {h.width});
    need(name + ".bias", Role::vector, {h.width});
  }

  static std::string block(uint64_t layer) { return "blk." + std::to_string(layer) + "."; }

  void linear(uint64_t layer, const std::string& name, uint64_t in, uint64_t out, bool always_biased = false) {
    need(block(layer) + name + ".weight", Role::matrix, {in, out});
    list.push_back({block(layer) + name + ".bias", Role::vector, {out}, always_biased || is_biased(name)});
  }

  // A bias is there in every layer or in none (of those that have the matrix).
  bool is_biased(const std::string& name) {
    const auto known = biased.find(name);
    if (known != biased.end()) return known->second;
    bool found = false;
    for (uint64_t i = 0; i < h.layers; i++) found = found || file.tensor(block(i) + name + ".bias") != nullptr;
    biased.emplace(name, found);
    return found;
  }

  void bert_family(std::string_view name) {
    const bool jina = name == "jina-bert-v2";
    list.push_back({"token_types.weight", Role::vector, {h.width, h.token_types}, jina});
    if (name == "bert") need("position_embd.weight", Role::matrix, {h.width, h.context});
    norm("token_embd_norm");
    may("cls.weight", Role::matrix, {h.width, jina ? 1 : h.width});
    may("cls.bias", Role::vector, {jina ? 1 : h.width});
    for (uint64_t i = 0; i < h.layers; i++) {
      attention_inputs(i);
      linear(i, "attn_output", h.width, h.width, jina);
      norm(block(i) + "attn_output_norm");
      norm(block(i) + "layer_output_norm");
      if (jina) {
        jina_block(i);
      } else if (h.experts_every > 0 && i % h.experts_every == 1) {
        need(block(i) + "ffn_gate_inp.weight", Role::matrix, {h.width, h.experts});
        need(block(i) + "ffn_up_exps.weight", Role::matrix, {h.width, h.ffn, h.experts});
        need(block(i) + "ffn_down_exps.weight", Role::matrix, {h.ffn, h.width, h.experts});
      } else {
        linear(i, "ffn_up", h.width, h.ffn);
        linear(i, "ffn_down", h.ffn, h.width);
        if (name == "nomic-bert") need(block(i) + "ffn_gate.weight", Role::matrix, {h.width, h.ffn});
      }
    }
  }

  // Optional norms come as a weight and its bias or not at all; `ffn_up` may hold the gate as its second half.
  void jina_block(uint64_t layer) {
    const std::string start = block(layer);
    for (const char* optional : {"attn_q_norm", "attn_k_norm", "attn_norm_2"}) {
      const bool there = file.tensor(start + optional + ".weight") || file.tensor(start + optional + ".bias");
      if (there) norm(start + optional);
    }
    const Tensor* up = file.tensor(start + "ffn_up.weight");
    const bool gate = file.tensor(start + "ffn_gate.weight") != nullptr;
    const bool joined = !gate && up != nullptr && up->ne[1] == 2 * h.ffn;
    if (gate) need(start + "ffn_gate.weight", Role::matrix, {h.width, h.ffn});
    linear(layer, "ffn_up", h.width, joined ? 2 * h.ffn : h.ffn);
    linear(layer, "ffn_down", h.ffn, h.width, true);
  }

  void modern_bert() {
    need("token_embd_norm.weight", Role::vector, {h.width});
    need("output_norm.weight", Role::vector, {h.width});
    for (uint64_t i = 0; i < h.layers; i++) {
      list.push_back({block(i) + "attn_norm.weight", Role::vector, {h.width}, i > 0});
      need(block(i) + "attn_qkv.weight", Role::matrix, {h.width, 3 * h.width});
      need(block(i) + "attn_output.weight", Role::matrix, {h.width, h.width});
      need(block(i) + "ffn_norm.weight", Role::vector, {h.width});
      need(block(i) + "ffn_up.weight", Role::matrix, {h.width, 2 * h.ffn});
      need(block(i) + "ffn_down.weight", Role::matrix, {h.ffn, h.width});
    }
  }

  void gated_ffn(uint64_t i) {
    need(block(i) + "ffn_norm.weight", Role::vector, {h.width});
    need(block(i) + "ffn_gate.weight", Role::matrix, {h.width, h.ffn});
    need(block(i) + "ffn_up.weight", Role::matrix, {h.width, h.ffn});
    need(block(i) + "ffn_down.weight", Role::matrix, {h.ffn, h.width});
  }

  void query_and_key_norms(uint64_t i) {
    need(block(i) + "attn_q_norm.weight", Role::vector, {h.head_size});
    need(block(i) + "attn_k_norm.weight", Role::vector, {h.head_size});
  }

  void pre_norm_decoder(bool qwen3) {
    need("output_norm.weight", Role::vector, {h.width});
    if (qwen3) may("output.weight", Role::matrix, {h.width, tokens});
    for (uint64_t i = 0; i < h.layers; i++) {
      need(block(i) + "attn_norm.weight", Role::vector, {h.width});
      attention_inputs(i);
      need(block(i) + "attn_output.weight", Role::matrix, {h.heads * h.head_size, h.width});
      if (qwen3) query_and_key_norms(i);
      gated_ffn(i);
    }
  }

  void gemma_embedding() {
    need("output_norm.weight", Role::vector, {h.width});
    may("output.weight", Role::matrix, {h.width, tokens});
    if (h.dense_2_out > 0) {
      need("dense_2.weight", Role::matrix, {h.width, h.dense_2_out});
      need("dense_3.weight", Role::matrix, {h.dense_3_in, h.width});
    }
    for (uint64_t i = 0; i < h.layers; i++) {
      need(block(i) + "attn_norm.weight", Role::vector, {h.width});
      attention_inputs(i);
      need(block(i) + "attn_output.weight", Role::matrix, {h.heads * h.head_size, h.width});
      query_and_key_norms(i);
      need(block(i) + "post_attention_norm.weight", Role::vector, {h.width});
      gated_ffn(i);
      need(block(i) + "post_ffw_norm.weight", Role::vector, {h.width});
    }
  }

  const Reader& file;
  const HParams& h;
  const uint64_t tokens;
  std::vector<ExpectedTensor> list;
  std::unordered_map<std::string, bool> biased;
};

std::string shape_text(const uint64_t* ne, size_t dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims; i++) text += (i > 0 ? " " : "") + std::to_string(ne[i]);
  return text + "]";
}

bool has_shape(const Tensor& tensor, const std::vector<uint64_t>& shape) {
  for (size_t i = 0; i < 4; i++) {
    if (tensor.ne[i] != (i < shape.size() ? shape[i] : 1)) return false;
  }
  return true;
}

bool is_integer(TensorType type) {
  return type == TensorType::i8 || type == TensorType::i16 || type == TensorType::i32;
}

void check_type(const Tensor& tensor, Role role) {
  if (role == Role::matrix ? !is_integer(tensor.type) : tensor.type == TensorType::f32) return;
  const char* expected = role == Role::matrix ? "a float or quantised type" : "f32";
  throw broken("GGUF_SCHEMA_TYPE", "tensor " + printable(tensor.name) + " is of type " + type_name(tensor.type) +
                                       "; expected " + expected);
}

void check_known(const Reader& file, const HParams& h, uint64_t tokens) {
  const std::vector<ExpectedTensor> expected = expected_tensors(file, h, tokens);
  size_t found = 0;
  for (const ExpectedTensor& one : expected) {
    const Tensor* tensor = file.tensor(one.name);
    if (tensor == nullptr) {
      if (!one.required) continue;
      throw broken("GGUF_SCHEMA_MISSING", "tensor " + printable(one.name) + " is missing; " + h.architecture->name +
                                              " models of " + std::to_string(h.layers) + " layers have it");
    }
    found++;
    if (!has_shape(*tensor, one.shape)) {
      throw broken("GGUF_SCHEMA_SHAPE", "tensor " + printable(one.name) + " has shape " +
                                            shape_text(tensor->ne, tensor->n_dims) + "; expected " +
                                            shape_text(one.shape.data(), one.shape.size()));
    }
    check_type(*tensor, one.role);
  }
  if (found == file.tensors().size()) return;
  NameIndex names;
  for (size_t i = 0; i < expected.size(); i++) names.emplace(expected[i].name, i);
  for (const Tensor& tensor : file.tensors()) {
    if (names.count(tensor.name) > 0) continue;
    throw broken("GGUF_SCHEMA_UNEXPECTED", "tensor " + printable(tensor.name) + " does not belong to a " +
                                               h.architecture->name + " model of " + std::to_string(h.layers) +
                                               " layers");
  }
}

// What holds for any architecture: llama.cpp checks names and shapes itself and refuses cleanly.
void check_generic(const Reader& file, const HParams& h, uint64_t tokens) {
  const Tensor* embedding = file.tensor("token_embd.weight");
  if (embedding == nullptr) throw broken("GGUF_SCHEMA_MISSING", "tensor \"token_embd.weight\" is missing");
  if (!has_shape(*embedding, {h.width, tokens})) {
    throw broken("GGUF_SCHEMA_SHAPE", "tensor \"token_embd.weight\" has shape " +
                                          shape_text(embedding->ne, embedding->n_dims) + "; expected [" +
                                          std::to_string(h.width) + " " + std::to_string(tokens) + "]");
  }
  for (const Tensor& tensor : file.tensors()) {
    const bool vector = tensor.n_dims == 1 || tensor.name == "token_types.weight";
    check_type(tensor, vector ? Role::vector : Role::matrix);
  }
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Reader& file, const HParams& hparams, uint64_t tokens) {
  return SchemaBuilder(file, hparams, tokens).run();
}

void check_schema(const Reader& file, const HParams& hparams, uint64_t tokens) {
  if (hparams.architecture->known_schema) {
    check_known(file, hparams, tokens);
  } else {
    check_generic(file, hparams, tokens);
  }
}

}  // namespace inlay::gguf
