#include "gguf_models.h"

#include <cmath>

namespace inlay::gguf::test {

namespace {

constexpr uint32_t width = 32, ffn = 64, heads = 2, layers = 2, context = 64, experts = 2;

class ModelBuilder {
 public:
  explicit ModelBuilder(const std::string& name) : name(name), architecture(name == "xlm-r" ? "bert" : name) {}

  FileWriter run() {
    common_keys();
    if (name == "qwen3" || name == "modern-bert" || name == "eurobert") {
      byte_vocabulary();
    } else if (name == "gemma-embedding") {
      sentence_piece_vocabulary();
    } else if (name == "xlm-r") {
      unigram_vocabulary();
    } else {
      word_piece_vocabulary();
    }
    tensor("token_embd.weight", {width, tokens});
    if (name == "qwen3") {
      qwen3();
    } else if (name == "eurobert") {
      eurobert();
    } else if (name == "gemma-embedding") {
      gemma_embedding();
    } else if (name == "modern-bert") {
      modern_bert();
    } else {
      bert_family();
    }
    return std::move(file);
  }

 private:
  std::string key(const char* suffix) const { return architecture + "." + suffix; }

  void common_keys() {
    file.text("general.architecture", architecture);
    file.text("general.name", "tiny " + name);
    file.u32(key("context_length"), context);
    file.u32(key("embedding_length"), width);
    file.u32(key("block_count"), layers);
    file.u32(key("feed_forward_length"), ffn);
    file.u32(key("attention.head_count"), heads);
    const bool rms = name == "qwen3" || name == "eurobert" || name == "gemma-embedding";
    file.f32(key(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"), rms ? 1e-6f : 1e-12f);
    file.u32(key("pooling_type"), name == "qwen3" ? 3 : name == "xlm-r" || name == "modern-bert" ? 2 : 1);
    if (name != "qwen3") file.boolean(key("attention.causal"), false);
  }

  void vocabulary(const std::string& model, const std::vector<std::string>& texts, const std::vector<int32_t>& types) {
    tokens = texts.size();
    file.text("tokenizer.ggml.model", model);
    file.strings("tokenizer.ggml.tokens", texts);
    file.array("tokenizer.ggml.token_type", ValueType::i32, types);
  }

  void ids(uint32_t bos, uint32_t eos, uint32_t unknown) {
    file.u32("tokenizer.ggml.bos_token_id", bos);
    file.u32("tokenizer.ggml.eos_token_id", eos);
    file.u32("tokenizer.ggml.unknown_token_id", unknown);
  }

  // As converted files hold it: word starts carry U+2581, continuations nothing.
  void word_piece_vocabulary() {
    std::vector<std::string> texts = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (char c = 'a'; c <= 'o'; c++) texts.push_back(std::string("\xE2\x96\x81") + c);
    for (char c = 'a'; c <= 'o'; c++) texts.push_back(std::string(1, c));
    for (const char* word : {"the", "cat", "sat", "on", "mat"}) texts.push_back(std::string("\xE2\x96\x81") + word);
    std::vector<int32_t> types(texts.size(), 1);
    for (size_t i = 0; i < 5; i++) types[i] = 3;
    vocabulary("bert", texts, types);
    file.u32("tokenizer.ggml.token_type_count", 2);
    ids(2, 3, 1);
    file.u32("tokenizer.ggml.cls_token_id", 2);
    file.u32("tokenizer.ggml.seperator_token_id", 3);
    file.u32("tokenizer.ggml.padding_token_id", 0);
    file.u32("tokenizer.ggml.mask_token_id", 4);
  }

  // The 256 characters that stand for bytes in GPT-2's scheme, two merges, and the special tokens.
  void byte_vocabulary() {
    std::vector<std::string> texts;
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; byte++) {
      const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
      texts.push_back(utf8(printable ? byte : next++));
    }
    texts.insert(texts.end(), {"th", "the", "<|endoftext|>", "[UNK]", "[CLS]", "[SEP]"});
    std::vector<int32_t> types(texts.size(), 1);
    for (size_t i = 258; i < texts.size(); i++) types[i] = 3;
    vocabulary("gpt2", texts, types);
    file.strings("tokenizer.ggml.merges", {"t h", "th e"});
    file.text("tokenizer.ggml.pre", name == "qwen3" ? "qwen2" : name == "modern-bert" ? "modern-bert" : "llama-bpe");
    if (name == "qwen3") {
      ids(258, 258, 259);
      file.boolean("tokenizer.ggml.add_bos_token", false);
      file.boolean("tokenizer.ggml.add_eos_token", true);
    } else {
      ids(260, 261, 259);
      file.u32("tokenizer.ggml.seperator_token_id", 261);
      file.boolean("tokenizer.ggml.add_bos_token", true);
      file.boolean("tokenizer.ggml.add_eos_token", true);
    }
  }

  void scored_vocabulary(const std::string& model, const std::vector<std::string>& texts, std::vector<int32_t> types) {
    std::vector<float> scores;
    for (size_t i = 0; i < texts.size(); i++) scores.push_back(-static_cast<float>(i) / 8);
    vocabulary(model, texts, types);
    file.array("tokenizer.ggml.scores", ValueType::f32, scores);
  }

  void sentence_piece_vocabulary() {
    static const char hex[] = "0123456789ABCDEF";
    std::vector<std::string> texts = {"<pad>", "<eos>", "<bos>", "<unk>"};
    std::vector<int32_t> types = {3, 3, 3, 2};
    for (int byte = 0; byte < 256; byte++) {
      texts.push_back(std::string("<0x") + hex[byte >> 4] + hex[byte & 15] + ">");
      types.push_back(6);
    }
    for (const char* piece : {"\xE2\x96\x81", "t", "h", "e", "th", "the", "\xE2\x96\x81the", "c", "a", "s"}) {
      texts.push_back(piece);
      types.push_back(1);
    }
    scored_vocabulary("llama", texts, types);
    ids(2, 1, 3);
    file.boolean("tokenizer.ggml.add_bos_token", true);
    file.boolean("tokenizer.ggml.add_eos_token", true);
  }

  void unigram_vocabulary() {
    std::vector<std::string> texts = {"<s>", "<pad>", "</s>", "<unk>", "\xE2\x96\x81"};
    std::vector<int32_t> types = {3, 3, 3, 2, 1};
    for (char c = 'a'; c <= 'z'; c++) {
      texts.push_back(std::string(1, c));
      types.push_back(1);
    }
    scored_vocabulary("t5", texts, types);
    ids(0, 2, 3);
    file.u32("tokenizer.ggml.token_type_count", 1);
    file.boolean("tokenizer.ggml.add_space_prefix", true);
    file.boolean("tokenizer.ggml.remove_extra_whitespaces", true);
    file.boolean("tokenizer.ggml.add_bos_token", true);
    file.boolean("tokenizer.ggml.add_eos_token", true);
  }

  static std::string utf8(uint32_t code) {
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
  }

  // Numbers that differ and are reproducible: a linear congruence, scaled to -0.25..0.25, or near 1 for norms.
  void tensor(const std::string& tensor_name, const std::vector<uint64_t>& shape) {
    uint64_t count = 1;
    for (const uint64_t ne : shape) count *= ne;
    const bool norm = tensor_name.find("norm.weight") != std::string::npos;
    std::string data;
    for (uint64_t i = 0; i < count; i++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      const float unit = static_cast<float>(seed >> 40) / static_cast<float>(1 << 24) - 0.5f;
      data += raw(norm ? 1 + unit / 4 : unit / 2);
    }
    file.tensors.push_back({tensor_name, shape, static_cast<uint32_t>(TensorType::f32), std::move(data), {}});
  }

  void norm(const std::string& tensor_name) {
    tensor(tensor_name + ".weight", {width});
    tensor(tensor_name + ".bias", {width});
  }

  void linear(const std::string& tensor_name, uint64_t in, uint64_t out) {
    tensor(tensor_name + ".weight", {in, out});
    tensor(tensor_name + ".bias", {out});
  }

  void bert_family() {
    if (name == "nomic-bert" || name == "nomic-bert-moe") file.f32(key("rope.freq_base"), 1000);
    if (name == "nomic-bert-moe") {
      file.u32(key("expert_count"), experts);
      file.u32(key("expert_used_count"), 1);
      file.u32(key("moe_every_n_layers"), 2);
    }
    tensor("token_types.weight", {width, name == "xlm-r" ? 1u : 2u});
    if (architecture == "bert") tensor("position_embd.weight", {width, context});
    norm("token_embd_norm");
    for (uint32_t i = 0; i < layers; i++) {
      const std::string block = "blk." + std::to_string(i) + ".";
      if (architecture == "bert" || name == "jina-bert-v2") {
        for (const char* part : {"attn_q", "attn_k", "attn_v"}) linear(block + part, width, width);
      } else {
        tensor(block + "attn_qkv.weight", {width, 3 * width});
      }
      linear(block + "attn_output", width, width);
      norm(block + "attn_output_norm");
      norm(block + "layer_output_norm");
      if (name == "nomic-bert-moe" && i % 2 == 1) {
        tensor(block + "ffn_gate_inp.weight", {width, experts});
        tensor(block + "ffn_up_exps.weight", {width, ffn, experts});
        tensor(block + "ffn_down_exps.weight", {ffn, width, experts});
        continue;
      }
      if (name == "nomic-bert" || name == "jina-bert-v2") tensor(block + "ffn_gate.weight", {width, ffn});
      if (architecture == "bert" || name == "nomic-bert-moe") {
        linear(block + "ffn_up", width, ffn);
        linear(block + "ffn_down", ffn, width);
      } else {
        tensor(block + "ffn_up.weight", {width, ffn});
        tensor(block + "ffn_down.weight", {ffn, width});
        if (name == "jina-bert-v2") tensor(block + "ffn_down.bias", {width});
      }
    }
  }

  void rotary_decoder_layers(uint64_t q, uint64_t kv, uint64_t head_size, bool gemma) {
    for (uint32_t i = 0; i < layers; i++) {
      const std::string block = "blk." + std::to_string(i) + ".";
      tensor(block + "attn_norm.weight", {width});
      tensor(block + "attn_q.weight", {width, q});
      tensor(block + "attn_k.weight", {width, kv});
      tensor(block + "attn_v.weight", {width, kv});
      if (name != "eurobert") {
        tensor(block + "attn_q_norm.weight", {head_size});
        tensor(block + "attn_k_norm.weight", {head_size});
      }
      tensor(block + "attn_output.weight", {q, width});
      if (gemma) tensor(block + "post_attention_norm.weight", {width});
      tensor(block + "ffn_norm.weight", {width});
      tensor(block + "ffn_gate.weight", {width, ffn});
      tensor(block + "ffn_up.weight", {width, ffn});
      tensor(block + "ffn_down.weight", {ffn, width});
      if (gemma) tensor(block + "post_ffw_norm.weight", {width});
    }
    tensor("output_norm.weight", {width});
  }

  void qwen3() {
    file.u32(key("attention.head_count_kv"), 1);
    file.u32(key("attention.key_length"), 32);
    file.u32(key("attention.value_length"), 32);
    file.f32(key("rope.freq_base"), 1e6f);
    rotary_decoder_layers(heads * 32, 32, 32, false);
  }

  void eurobert() {
    file.f32(key("rope.freq_base"), 250000);
    rotary_decoder_layers(width, width, width / heads, false);
  }

  void gemma_embedding() {
    file.u32(key("attention.head_count_kv"), 1);
    file.u32(key("attention.key_length"), 32);
    file.u32(key("attention.value_length"), 32);
    file.f32(key("rope.freq_base"), 1e6f);
    file.f32(key("rope.freq_base_swa"), 10000);
    file.u32(key("attention.sliding_window"), 16);
    file.u32(key("attention.sliding_window_pattern"), 2);
    file.u32(key("dense_2_feat_in"), width);
    file.u32(key("dense_2_feat_out"), 48);
    file.u32(key("dense_3_feat_in"), 48);
    file.u32(key("dense_3_feat_out"), width);
    rotary_decoder_layers(heads * 32, 32, 32, true);
    tensor("dense_2.weight", {width, 48});
    tensor("dense_3.weight", {48, width});
  }

  void modern_bert() {
    file.f32(key("rope.freq_base"), 160000);
    file.f32(key("rope.freq_base_swa"), 10000);
    file.u32(key("attention.sliding_window"), 16);
    file.u32(key("attention.sliding_window_pattern"), 3);
    tensor("token_embd_norm.weight", {width});
    for (uint32_t i = 0; i < layers; i++) {
      const std::string block = "blk." + std::to_string(i) + ".";
      if (i > 0) tensor(block + "attn_norm.weight", {width});
      tensor(block + "attn_qkv.weight", {width, 3 * width});
      tensor(block + "attn_output.weight", {width, width});
      tensor(block + "ffn_norm.weight", {width});
      tensor(block + "ffn_up.weight", {width, 2 * ffn});
      tensor(block + "ffn_down.weight", {ffn, width});
    }
    tensor("output_norm.weight", {width});
  }

  const std::string name;
  const std::string architecture;
  FileWriter file;
  uint64_t tokens = 0;
  uint64_t seed = 1;
};

}  // namespace

FileWriter tiny_model(const std::string& name) { return ModelBuilder(name).run(); }

const std::vector<std::string>& tiny_model_names() {
  static const std::vector<std::string> names = {"bert",        "xlm-r",           "nomic-bert", "nomic-bert-moe", "jina-bert-v2",
                                                 "modern-bert", "gemma-embedding", "qwen3",      "eurobert"};
  return names;
}

void repeat_first_layer(FileWriter& file, const std::string& architecture, uint32_t layers) {
  std::vector<FileWriter::TensorInfo> first;
  for (const auto& tensor : file.tensors) {
    if (tensor.name.rfind("blk.0.", 0) == 0) first.push_back(tensor);
  }
  for (uint32_t i = 1; i < layers; i++) {
    const std::string block = "blk." + std::to_string(i) + ".";
    for (auto tensor : first) {
      tensor.name.replace(0, 6, block);
      file.remove_tensor(tensor.name);
      file.tensors.push_back(tensor);
    }
  }
  file.u32(architecture + ".block_count", layers);
}

std::string empty_charsmap() {
  // The root's children would stand in the second block of 256 units, none of which bears its label.
  std::string map = raw<uint32_t>(512 * 4) + raw<uint32_t>(256 << 10);
  map.resize(4 + 512 * 4 + 1, '\0');
  return map;
}

std::vector<std::string> base64_characters(const std::string& bytes) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::string> characters;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    const size_t there = bytes.size() - i < 3 ? bytes.size() - i : 3;
    for (size_t k = 0; k < 3; k++) bits = bits << 8 | (k < there ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; k++) {
      characters.push_back(k <= there ? std::string(1, alphabet[bits >> (18 - 6 * k) & 63]) : "=");
    }
  }
  return characters;
}

}  // namespace inlay::gguf::test
