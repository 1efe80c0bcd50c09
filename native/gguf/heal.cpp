#include "gguf/heal.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "gguf/hparams.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

using Sentences = std::vector<std::string>;

// Ollama's EmbeddingGemma blobs are gemma3 text models with a dense head and Ollama's own tensor names.
void heal_embeddinggemma(Reader& file, Sentences& healed) {
  const Tensor* dense_0 = file.tensor("dense.0.weight");
  const Tensor* dense_1 = file.tensor("dense.1.weight");
  if (file.architecture() != "gemma3" || dense_0 == nullptr || dense_1 == nullptr) return;
  const auto u32 = [](uint64_t value) { return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX)); };
  file.set_integer("gemma3.dense_2_feat_in", u32(dense_0->ne[0]));
  file.set_integer("gemma3.dense_2_feat_out", u32(dense_0->ne[1]));
  file.set_integer("gemma3.dense_3_feat_in", u32(dense_1->ne[0]));
  file.set_integer("gemma3.dense_3_feat_out", u32(dense_1->ne[1]));
  file.rename_tensor("dense.0.weight", "dense_2.weight");
  file.rename_tensor("dense.1.weight", "dense_3.weight");
  if (file.tensor("output_norm.weight") == nullptr) file.rename_tensor("norm.weight", "output_norm.weight");
  file.erase("gemma3.attention.causal");
  file.erase("gemma3.attention.sliding_window_pattern");
  file.set_string("general.architecture", "gemma-embedding");
  file.rename_keys("gemma3.", "gemma-embedding.");
  if (file.find("gemma-embedding.rope.freq_base_swa") == nullptr) {
    file.set_number("gemma-embedding.rope.freq_base_swa", 10000);
  }
  healed.push_back("read the gemma3 model with a dense head as gemma-embedding");
}

// -1 for a character outside the alphabet.
int base64_value(unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::optional<std::string> decode_base64(const std::vector<std::string_view>& characters) {
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (const std::string_view character : characters) {
    if (character.size() != 1) return std::nullopt;
    if (character[0] == '=') break;
    const int value = base64_value(static_cast<unsigned char>(character[0]));
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xFFFFFF;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xFF));
    }
  }
  return bytes;
}

// Ollama's snowflake-arctic-embed2 has the map as an array of one-character strings, together base64.
void heal_charsmap(Reader& file, Sentences& healed) {
  const auto& characters = file.strings("tokenizer.ggml.precompiled_charsmap");
  if (characters.empty()) return;
  auto bytes = decode_base64(characters);
  if (!bytes) return;
  file.set_bytes("tokenizer.ggml.precompiled_charsmap", std::move(*bytes));
  healed.push_back("decoded the tokenizer's character map from base64");
}

std::string lower_name(const Reader& file) {
  std::string name(file.string("general.name").value_or(""));
  name += ' ';
  name += file.string("general.basename").value_or("");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

// Files from before llama.cpp's converter wrote the pooling (February 2024), and by hand-made converters.
void heal_pooling(Reader& file, Sentences& healed) {
  const std::string key = file.hparam_key("pooling_type");
  const Architecture* architecture = find_architecture(file.architecture());
  if (file.find(key) != nullptr || architecture == nullptr) return;
  const std::string name = lower_name(file);
  const auto named = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  const bool qwen3_embedding = file.architecture() == "qwen3" && named("embed");
  if (!architecture->encoder && !qwen3_embedding) return;
  const bool cls = named("bge") || named("mxbai") || named("arctic-embed") || named("granite-embedding") ||
                   file.architecture() == "neo-bert";
  file.set_integer(key, qwen3_embedding ? 3 : cls ? 2 : 1);
  healed.push_back(std::string("the file names no pooling; took ") +
                   (qwen3_embedding ? "last" : cls ? "cls" : "mean") + ", as models of this kind use");
}

// Qwen3-Embedding pools the end token, which files converted before June 2025 do not say is added.
void heal_end_token(Reader& file, Sentences& healed) {
  const bool pools_last = file.integer(file.hparam_key("pooling_type")) == 3;
  if (file.architecture() != "qwen3" || !pools_last || file.find("tokenizer.ggml.add_eos_token") != nullptr) return;
  const auto& tokens = file.strings("tokenizer.ggml.tokens");
  const auto end = std::find(tokens.begin(), tokens.end(), "<|endoftext|>");
  if (end == tokens.end()) return;
  file.set_boolean("tokenizer.ggml.add_eos_token", true);
  file.set_integer("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(end - tokens.begin()));
  healed.push_back("the file does not say that texts end in <|endoftext|>; they do");
}

// llama.cpp knows the first token of a text by one key, some files by another.
void heal_first_token(Reader& file, Sentences& healed) {
  const auto cls = file.integer("tokenizer.ggml.cls_token_id");
  const bool word_piece = file.string("tokenizer.ggml.model") == std::string_view("bert");
  constexpr uint64_t assumed = 101;
  if (!word_piece || !cls || *cls == assumed || *cls > UINT32_MAX) return;
  if (file.find("tokenizer.ggml.bos_token_id") != nullptr) return;
  file.set_integer("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*cls));
  healed.push_back("took the classification token as the first token of a text");
}

// The name goes into logs and terminals.
void heal_name(Reader& file, Sentences& healed) {
  constexpr size_t limit = 256;
  const auto name = file.string("general.name");
  if (!name) return;
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  const bool sound = name->size() <= limit && std::none_of(name->begin(), name->end(), is_control) && is_utf8(*name);
  if (sound) return;
  std::string clean;
  for (const char c : name->substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (!is_control(byte) && (byte < 0x80 || is_utf8(*name))) clean += c;
  }
  while (!is_utf8(clean)) clean.pop_back();  // a character cut in the middle
  file.set_string("general.name", clean);
  healed.push_back("removed control characters from the model's name, or cut it to 256 bytes");
}

}  // namespace

std::vector<std::string> heal(Reader& file) {
  Sentences healed;
  heal_embeddinggemma(file, healed);
  heal_charsmap(file, healed);
  heal_pooling(file, healed);
  heal_end_token(file, healed);
  heal_first_token(file, healed);
  heal_name(file, healed);
  return healed;
}

}  // namespace inlay::gguf
