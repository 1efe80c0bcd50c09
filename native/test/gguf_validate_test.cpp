#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "gguf/scan.h"
#include "gguf_judge.h"
#include "gguf_models.h"

using namespace inlay;
using namespace inlay::gguf;
using namespace inlay::gguf::test;

namespace {

std::unique_ptr<Reader> read(const FileWriter& file) {
  const TemporaryFile temporary(file.bytes());
  return Reader::open(temporary.name());
}

void rename_keys(FileWriter& file, const std::string& prefix, const std::string& replacement) {
  for (auto& key : file.keys) {
    if (key.name.rfind(prefix, 0) == 0) key.name.replace(0, prefix.size(), replacement);
  }
}

uint16_t half(float value) {  // of normal numbers that an f16 holds exactly
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t exponent = (bits >> 23 & 0xFF) - 112;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3FF));
}

}  // namespace

TEST_CASE("Ollama's EmbeddingGemma becomes gemma-embedding") {
  FileWriter file = tiny_model("gemma-embedding");
  repeat_first_layer(file, "gemma-embedding", 6);
  rename_keys(file, "gemma-embedding.", "gemma3.");
  file.text("general.architecture", "gemma3");
  for (const char* name : {"dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out",
                           "rope.freq_base_swa"}) {
    file.remove(std::string("gemma3.") + name);
  }
  file.boolean("gemma3.attention.causal", true);
  file.tensor("dense_2.weight").name = "dense.0.weight";
  file.tensor("dense_3.weight").name = "dense.1.weight";
  file.tensor("output_norm.weight").name = "norm.weight";
  const auto reader = read(file);
  CHECK(heal(*reader).size() == 1);
  CHECK(reader->architecture() == "gemma-embedding");
  CHECK(reader->integer("gemma-embedding.dense_2_feat_out") == 48);
  CHECK(reader->integer("gemma-embedding.dense_3_feat_in") == 48);
  CHECK(reader->number("gemma-embedding.rope.freq_base_swa") == 10000);
  CHECK(reader->find("gemma-embedding.attention.causal") == nullptr);
  CHECK(reader->find("gemma-embedding.attention.sliding_window_pattern") == nullptr);
  CHECK(reader->tensor("dense_3.weight") != nullptr);
  CHECK(reader->tensor("output_norm.weight") != nullptr);
  CHECK(validate(*reader).known_schema);
}

TEST_CASE("a base64 character map becomes bytes") {
  FileWriter file = tiny_model("xlm-r");
  const std::string map = empty_charsmap();
  file.strings("tokenizer.ggml.precompiled_charsmap", base64_characters(map));
  const auto reader = read(file);
  CHECK(heal(*reader).size() == 1);
  const Value* healed = reader->find("tokenizer.ggml.precompiled_charsmap");
  CHECK(std::string(reinterpret_cast<const char*>(healed->elements), healed->count) == map);
  CHECK_NOTHROW(validate(*reader));
}

TEST_CASE("a missing pooling is that of the model's kind") {
  const std::pair<const char*, uint64_t> names[] = {
      {"all-MiniLM-L6-v2", 1}, {"BGE Base en v1.5", 2}, {"mxbai-embed-large", 2}, {"snowflake-arctic-embed-m", 2}};
  for (const auto& [name, pooling] : names) {
    FileWriter file = tiny_model("bert");
    file.remove("bert.pooling_type");
    file.text("general.name", name);
    const auto reader = read(file);
    CHECK(heal(*reader).size() == 1);
    CHECK(reader->integer("bert.pooling_type") == pooling);
  }
}

TEST_CASE("a caller's pooling makes up for a missing one") {
  FileWriter file = tiny_model("qwen3");
  file.remove("qwen3.pooling_type");
  const auto reader = read(file);
  CHECK(heal(*reader).empty());
  CHECK_THROWS_AS(validate(*reader), Failure);
  ValidateOptions options;
  options.pooling_given = true;
  CHECK_NOTHROW(validate(*reader, options));
}

TEST_CASE("Qwen3-Embedding ends its texts, unless the file says it does not") {
  FileWriter file = tiny_model("qwen3");
  file.remove("tokenizer.ggml.add_eos_token");
  file.u32("tokenizer.ggml.eos_token_id", 5);
  const auto silent = read(file);
  CHECK(heal(*silent).size() == 1);
  CHECK(silent->boolean("tokenizer.ggml.add_eos_token") == true);
  CHECK(silent->integer("tokenizer.ggml.eos_token_id") == 258);
  file.boolean("tokenizer.ggml.add_eos_token", false);
  const auto spoken = read(file);
  CHECK(heal(*spoken).empty());
  CHECK(spoken->boolean("tokenizer.ggml.add_eos_token") == false);
}

TEST_CASE("a name with control characters is cleaned") {
  FileWriter file = tiny_model("bert");
  file.text("general.name", "bert\x1B[31m\r\nsmall");
  const auto reader = read(file);
  CHECK(heal(*reader).size() == 1);
  CHECK(reader->string("general.name") == std::string_view("bert[31msmall"));
}

TEST_CASE("weights past the limit are refused with both numbers") {
  const auto reader = read(tiny_model("bert"));
  const uint64_t bytes = validate(*reader).weight_bytes;
  ValidateOptions options;
  options.memory_limit = bytes;
  CHECK_NOTHROW(validate(*reader, options));
  options.memory_limit = bytes - 1;
  try {
    validate(*reader, options);
    FAIL("too much passed");
  } catch (const Failure& failure) {
    CHECK(failure.code == FailureCode::out_of_memory);
    CHECK(failure.message.find(std::to_string(bytes)) != std::string::npos);
  }
}

TEST_CASE("an architecture whose tensors only llama.cpp knows gets the generic checks") {
  FileWriter file = tiny_model("qwen3");
  rename_keys(file, "qwen3.", "qwen2.");
  file.text("general.architecture", "qwen2");
  CHECK_FALSE(validate(*read(file)).known_schema);
  file.tensor("blk.0.ffn_down.weight").type = static_cast<uint32_t>(TensorType::i32);
  CHECK(judge_bytes(file.bytes()).rule == "GGUF_SCHEMA_TYPE");
}

TEST_CASE("pre-tokenizers that recurse are told") {
  FileWriter file = tiny_model("qwen3");
  CHECK(validate(*read(file)).bounded_splitter);
  file.text("tokenizer.ggml.pre", "gpt-4o");
  CHECK_FALSE(validate(*read(file)).bounded_splitter);
}

TEST_CASE("a scan finds the largest magnitude and every kind of non-number") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (size_t count : {1, 7, 64, 1001}) {
    for (size_t at : {size_t{0}, count / 2, count - 1}) {
      std::vector<float> f32(count, 0.25f);
      std::vector<uint16_t> f16(count, half(0.25f)), bf16(count, 0x3E80);
      f32[at] = -3.5f;
      f16[at] = half(-3.5f);
      bf16[at] = 0xC060;
      CHECK(scan_block(TensorType::f32, f32.data(), count).largest == 3.5f);
      CHECK(scan_block(TensorType::f16, f16.data(), count).largest == 3.5f);
      CHECK(scan_block(TensorType::bf16, bf16.data(), count).largest == 3.5f);
      CHECK(scan_block(TensorType::f32, f32.data(), count).finite);
      CHECK(scan_block(TensorType::f16, f16.data(), count).finite);
      CHECK(scan_block(TensorType::bf16, bf16.data(), count).finite);
      for (const float bad : {inf, -inf, nan, -nan}) {
        f32[at] = bad;
        CHECK_FALSE(scan_block(TensorType::f32, f32.data(), count).finite);
      }
      for (const uint16_t bad : {0x7C00, 0xFC00, 0x7C01, 0xFFFF}) {
        f16[at] = bad;
        CHECK_FALSE(scan_block(TensorType::f16, f16.data(), count).finite);
      }
      for (const uint16_t bad : {0x7F80, 0xFF80, 0x7FC0, 0xFFFF}) {
        bf16[at] = bad;
        CHECK_FALSE(scan_block(TensorType::bf16, bf16.data(), count).finite);
      }
    }
  }
}

TEST_CASE("a scan looks at the scales of every quantised type, wherever its blocks hold them") {
  const std::pair<TensorType, std::vector<size_t>> scales[] = {
      {TensorType::q4_0, {0}},    {TensorType::q4_1, {0, 2}},   {TensorType::q5_0, {0}},    {TensorType::q5_1, {0, 2}},
      {TensorType::q8_0, {0}},    {TensorType::q2_k, {80, 82}}, {TensorType::q3_k, {108}},  {TensorType::q4_k, {0, 2}},
      {TensorType::q5_k, {0, 2}}, {TensorType::q6_k, {208}},    {TensorType::iq4_nl, {0}},  {TensorType::iq4_xs, {0}},
  };
  for (const auto& [type, offsets] : scales) {
    CAPTURE(type_name(type));
    const BlockSize block = block_size(type);
    const size_t blocks = 5;
    // All other bytes are 0xFF, which would be a NaN wherever it were taken for a scale.
    std::string data(blocks * block.bytes, '\xFF');
    for (size_t i = 0; i < blocks; i++) {
      for (const size_t offset : offsets) data.replace(i * block.bytes + offset, 2, raw(half(0.5f)));
    }
    const Scan sound = scan_block(type, data.data(), blocks * block.elements);
    CHECK(sound.finite);
    CHECK(sound.largest == 0.5f);
    for (const size_t offset : offsets) {
      std::string bad = data;
      bad.replace(3 * block.bytes + offset, 2, raw<uint16_t>(0x7C00));
      CHECK_FALSE(scan_block(type, bad.data(), blocks * block.elements).finite);
    }
  }
}
