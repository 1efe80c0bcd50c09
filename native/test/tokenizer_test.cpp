#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace {

using inlay::Tokenizer;

std::string folder() {
  const char* chosen = std::getenv("INLAY_VOCABS");
  return chosen ? chosen : INLAY_VOCABS;
}

std::string vocabulary_path(const std::string& name) { return folder() + "/ggml-vocab-" + name + ".gguf"; }

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file, "cannot read " << path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> read_cases(const std::string& path) {
  const std::string all = read_text(path);
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find(separator, at), all.size());
    cases.push_back(all.substr(at, end - at));
    at = end + separator.size();
  }
  return cases;
}

std::vector<std::vector<int32_t>> read_ids(const std::string& path) {
  std::istringstream lines(read_text(path));
  std::vector<std::vector<int32_t>> all;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    all.emplace_back();
    for (int32_t id; numbers >> id;) all.back().push_back(id);
  }
  return all;
}

std::unique_ptr<Tokenizer> open(const std::string& name) {
  return Tokenizer::create(*inlay::gguf::Reader::open(vocabulary_path(name)));
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool parse_special = false) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, parse_special, ids);
  return ids;
}

}  // namespace

// llama.cpp's published pairs. Where its tokenizer differs from the original, the original is right here.
TEST_CASE("ids agree with llama.cpp's published pairs of texts and ids") {
  // "[😀]\U+20E3" and the like: llama.cpp drops the enclosing keycap U+20E3, the original strips nonspacing marks
  // only and keeps it.
  const std::map<std::string, std::set<std::string>> differs = {};
  for (const std::string name : {"bert-bge"}) {
    CAPTURE(name);
    const auto tokenizer = open(name);
    REQUIRE(tokenizer);
    const auto texts = read_cases(vocabulary_path(name) + ".inp");
    const auto expected = read_ids(vocabulary_path(name) + ".out");
    REQUIRE(texts.size() == expected.size());
    for (size_t i = 0; i < texts.size(); i++) {
      CAPTURE(texts[i]);
      CHECK(encode(*tokenizer, texts[i]) == expected[i]);
    }
  }
}
