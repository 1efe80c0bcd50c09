#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "failure.h"
#include "gguf_writer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace {

using inlay::Failure;
using inlay::Tokenizer;
using inlay::gguf::ValueType;
using inlay::gguf::test::FileWriter;

// GGUF's token types.
enum : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct TestFile {
  explicit TestFile(const FileWriter& writer) {
    static int count = 0;
    path = (std::filesystem::temp_directory_path() /
            ("inlay-tokenizer-" + std::to_string(std::random_device()()) + "-" +
             std::to_string(count++)))
               .string();
    std::ofstream(path, std::ios::binary) << writer.bytes();
  }
  ~TestFile() { std::remove(path.c_str()); }

  std::string path;
};

FileWriter vocabulary(const std::string& model, const std::vector<std::string>& tokens,
                      const std::vector<int32_t>& types) {
  FileWriter file;
  file.text("general.architecture", "bert");
  file.text("tokenizer.ggml.model", model);
  file.strings("tokenizer.ggml.tokens", tokens);
  file.array("tokenizer.ggml.token_type", ValueType::i32, types);
  return file;
}

FileWriter word_pieces() {
  FileWriter file = vocabulary("bert", {"[CLS]", "[SEP]", "[UNK]", "\u2581a", "b", "\u2581ab"},
                               {control, control, unknown, normal, normal, normal});
  file.u32("tokenizer.ggml.cls_token_id", 0);
  file.u32("tokenizer.ggml.seperator_token_id", 1);
  file.u32("tokenizer.ggml.unknown_token_id", 2);
  return file;
}

FileWriter byte_pairs() {
  FileWriter file = vocabulary("gpt2", {"a", "b", "c", "ab", "bc", "abc", "<eos>"},
                               {normal, normal, normal, normal, normal, normal, control});
  file.text("tokenizer.ggml.pre", "gpt-2");
  file.strings("tokenizer.ggml.merges", {"b c", "a b", "a bc"});
  file.u32("tokenizer.ggml.eos_token_id", 6);
  return file;
}

std::unique_ptr<Tokenizer> create(const FileWriter& writer) {
  const TestFile file(writer);
  return Tokenizer::create(*inlay::gguf::Reader::open(file.path));
}

std::vector<int32_t> encode(const FileWriter& writer, std::string_view text) {
  const auto tokenizer = create(writer);
  REQUIRE(tokenizer);
  std::vector<int32_t> ids;
  tokenizer->encode(text, false, ids);
  return ids;
}

std::string rule_broken_by(const FileWriter& writer) {
  try {
    create(writer);
  } catch (const Failure& failure) {
    CHECK(failure.code == inlay::FailureCode::model_invalid);
    CHECK(!failure.message.empty());
    return failure.rule;
  }
  return "";
}

}  // namespace

TEST_CASE("words are cut into the longest pieces") {
  CHECK(encode(word_pieces(), "ab abb a A\u0301B") == std::vector<int32_t>{5, 5, 4, 3, 5});
  CHECK(encode(word_pieces(), "b") == std::vector<int32_t>{2});
}

TEST_CASE("pairs merge by rank, whatever their place") {
  CHECK(encode(byte_pairs(), "abc") == std::vector<int32_t>{5});
  CHECK(encode(byte_pairs(), "ababc") == std::vector<int32_t>{3, 5});
  CHECK(encode(byte_pairs(), "axb") ==
        std::vector<int32_t>{3});  // a byte without a token is left out
}

TEST_CASE("long words merge as short ones do") {
  std::mt19937 random(3);
  const auto tokenizer = create(byte_pairs());
  for (int i = 0; i < 300; i++) {
    std::string text;
    std::vector<int32_t> expected;
    // Parts that end in a merged c do not merge with what follows them.
    for (int part = 0; part < 40; part++) {
      const std::string piece =
          std::string(random() % 3, 'a') + std::string(random() % 3, 'b') + "c";
      text += piece;
      tokenizer->encode(piece, false, expected);
    }
    std::vector<int32_t> ids;
    tokenizer->encode(text, false, ids);
    CHECK(ids == expected);
  }
}

TEST_CASE("a vocabulary that contradicts itself is refused by name") {
  FileWriter file = word_pieces();
  file.array("tokenizer.ggml.token_type", ValueType::i32, std::vector<int32_t>{1, 1});
  CHECK(rule_broken_by(file) == "TOKENIZER_TYPES");

  file = word_pieces();
  file.array("tokenizer.ggml.token_type", ValueType::i32, std::vector<int32_t>{3, 3, 2, 1, 1, 7});
  CHECK(rule_broken_by(file) == "TOKENIZER_TYPES");

  file = word_pieces();
  file.array("tokenizer.ggml.scores", ValueType::f32, std::vector<float>{1});
  CHECK(rule_broken_by(file) == "TOKENIZER_SCORES");

  file = word_pieces();
  file.array("tokenizer.ggml.scores", ValueType::f32, std::vector<float>{0, 0, 0, 0, 0, NAN});
  CHECK(rule_broken_by(file) == "TOKENIZER_SCORES");

  file = word_pieces();
  file.strings("tokenizer.ggml.tokens", {});
  CHECK(rule_broken_by(file) == "TOKENIZER_TOKENS");

  file = word_pieces();
  file.strings("tokenizer.ggml.tokens", {"[CLS]", "[SEP]", "[UNK]", "\u2581a", "\xFF", "\u2581ab"});
  CHECK(rule_broken_by(file) == "TOKENIZER_TOKEN_TEXT");

  file = word_pieces();
  file.u32("tokenizer.ggml.unknown_token_id", 6);
  CHECK(rule_broken_by(file) == "TOKENIZER_SPECIAL");

  file = byte_pairs();
  file.strings("tokenizer.ggml.merges", {"ab"});
  CHECK(rule_broken_by(file) == "TOKENIZER_MERGES");

  file = byte_pairs();
  file.u32("tokenizer.ggml.eos_token_id", 7);
  file.boolean("tokenizer.ggml.add_eos_token", true);
  CHECK(rule_broken_by(file) == "TOKENIZER_SPECIAL");

  file = vocabulary("t5", {"<unk>", "a"}, {unknown, normal});
  file.u32("tokenizer.ggml.unknown_token_id", 0);
  file.array("tokenizer.ggml.precompiled_charsmap", ValueType::u8,
             std::vector<uint8_t>{8, 0, 0, 0, 1, 2});
  CHECK(rule_broken_by(file) == "TOKENIZER_CHARSMAP");
}

TEST_CASE("a merge of unknown tokens leaves no exact tokenizer") {
  FileWriter file = byte_pairs();
  file.strings("tokenizer.ggml.merges", {"a b", "ab z"});
  CHECK(create(file) == nullptr);
}

TEST_CASE("ModernBERT's [MASK] takes the white space before it, runs of spaces that are tokens too") {
  FileWriter file =
      vocabulary("gpt2", {"a", "\u0120", "[MASK]", "  "}, {normal, normal, control, user_defined});
  file.text("tokenizer.ggml.pre", "modern-bert");
  file.strings("tokenizer.ggml.merges", {});
  const auto tokenizer = create(file);
  std::vector<int32_t> ids;
  tokenizer->encode("a   [MASK]   a", true, ids);
  CHECK(ids == std::vector<int32_t>{0, 2, 3, 1, 0});
}

TEST_CASE("any vocabulary gives ids of its own, on any text") {
  std::mt19937 random(7);
  const auto below = [&](size_t n) { return static_cast<size_t>(random()) % n; };
  const std::string letters[] = {"a",      "b",      " ",          "\u2581", "\u0120", "\u00E9",
                                 "\u0301", "\u4E2D", "\U0001F600", "<",      "\n"};
  const auto random_text = [&](size_t parts) {
    std::string text;
    for (size_t i = below(parts + 1); i > 0; i--) text += letters[below(std::size(letters))];
    return text;
  };
  for (int round = 0; round < 400; round++) {
    const size_t count = 1 + below(30);
    std::vector<std::string> tokens;
    std::vector<int32_t> types;
    std::vector<float> scores;
    for (size_t i = 0; i < count; i++) {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(below(256)));
      types.push_back(static_cast<int32_t>(below(7)));
      tokens.push_back(types.back() == byte ? text : random_text(4));
      scores.push_back(static_cast<float>(below(9)) - 6);
    }
    const char* models[] = {"bert", "t5", "gpt2", "llama"};
    FileWriter file = vocabulary(models[below(4)], tokens, types);
    const char* rules[] = {"gpt-2", "qwen2", "modern-bert", "llama-bpe"};
    file.text("tokenizer.ggml.pre", rules[below(4)]);
    file.array("tokenizer.ggml.scores", ValueType::f32, scores);
    std::vector<std::string> merges;
    for (size_t i = below(6); i > 0; i--)
      merges.push_back(tokens[below(count)] + " " + tokens[below(count)]);
    file.strings("tokenizer.ggml.merges", merges);
    for (const char* key : {"bos", "eos", "unknown", "seperator", "cls"}) {
      file.u32(std::string("tokenizer.ggml.") + key + "_token_id",
               static_cast<uint32_t>(below(count)));
    }
    for (const char* key :
         {"add_space_prefix", "remove_extra_whitespaces", "normalizer.lowercase"}) {
      if (below(2)) file.boolean(std::string("tokenizer.ggml.") + key, below(2));
    }
    if (below(2)) {
      // A trie of random units whose offsets stay small, so that walks in it go on.
      const size_t units = 256 + below(256);
      std::vector<uint8_t> charsmap = {static_cast<uint8_t>(4 * units),
                                       static_cast<uint8_t>(4 * units >> 8), 0, 0};
      for (size_t i = 0; i < units; i++) {
        const size_t label = below(3) ? i % 256 : below(256);
        const auto unit = static_cast<uint32_t>(below(256) << 10 | below(2) << 8 | label);
        for (int shift = 0; shift < 32; shift += 8)
          charsmap.push_back(static_cast<uint8_t>(unit >> shift));
      }
      for (const char c : random_text(20)) charsmap.push_back(static_cast<uint8_t>(c));
      charsmap.push_back(0);
      file.array("tokenizer.ggml.precompiled_charsmap", ValueType::u8, charsmap);
    }
    try {
      const auto tokenizer = create(file);
      if (!tokenizer) continue;
      for (int i = 0; i < 20; i++) {
        std::string text = random_text(60);
        if (below(4) == 0) text.insert(below(text.size() + 1), 1, static_cast<char>(below(256)));
        std::vector<int32_t> ids;
        tokenizer->encode(text, below(2), ids);
        for (const int32_t id : ids) {
          if (id < 0 || static_cast<size_t>(id) >= count)
            FAIL("id " << id << " of " << count << " in round " << round);
        }
      }
    } catch (const Failure& failure) {
      CHECK(!failure.rule.empty());
    }
  }
}

TEST_CASE("NFC composes and orders as Unicode says") {
  const auto nfc = [](std::string_view text) {
    std::string buffer;
    return std::string(inlay::unicode::to_nfc(text, buffer));
  };
  CHECK(nfc("") == "");
  CHECK(nfc("plain") == "plain");
  CHECK(nfc("e\u0301") == "\u00E9");
  CHECK(nfc("xe\u0323\u0302y") == "x\u1EC7y");
  CHECK(nfc("e\u0302\u0323") == "\u1EC7");
  CHECK(nfc("\u0301e") == "\u0301e");
  CHECK(nfc("\u212B\u2126\u1F71") == "\u00C5\u03A9\u03AC");
  CHECK(nfc("\u0958") == "\u0915\u093C");  // excluded from composition
  CHECK(nfc("\u1100\u1161\u11A8\u11A8") == "\uAC01\u11A8");
  CHECK(nfc("a\u0315\u0300\u05AE\u0300b") == "\u00E0\u05AE\u0300\u0315b");
  CHECK(nfc("\u0061\u030A\u0301") == "\u01FB");
  CHECK(nfc("\u0F71\u0F72\u0F74") == "\u0F71\u0F72\u0F74");
}
