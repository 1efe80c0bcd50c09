#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "gguf_corpus.h"
#include "gguf_judge.h"

using namespace inlay::gguf;
using namespace inlay::gguf::test;

TEST_CASE("a regular file of each architecture passes untouched") {
  for (const CorpusFile& file : valid_corpus()) {
    CAPTURE(file.name);
    const Outcome outcome = judge_bytes(file.bytes);
    CHECK_MESSAGE(outcome.rule == "", outcome.message);
    CHECK(outcome.report.known_schema);
    CHECK(outcome.report.weight_bytes > 10000);
    CHECK(outcome.healed.empty());
    CHECK(outcome.report.warnings.empty());
  }
}

TEST_CASE("each file of the corpus breaks its own rule, in less than a second") {
  const auto is_printable = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
  };
  for (const CorpusFile& file : malformed_corpus()) {
    CAPTURE(file.name);
    const Outcome outcome = judge_bytes(file.bytes);
    CAPTURE(outcome.message);
    CHECK(outcome.rule == file.rule);
    CHECK(outcome.seconds < 1);
    CHECK(is_printable(outcome.message));
  }
}

TEST_CASE("the names of the corpus's files differ") {
  std::vector<std::string> names;
  for (const CorpusFile& file : malformed_corpus()) names.push_back(file.name);
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("the reference models pass untouched" * doctest::skip(std::getenv("INLAY_REFERENCE") == nullptr)) {
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::getenv("INLAY_REFERENCE"))) {
    if (entry.path().extension() != ".gguf") continue;
    CAPTURE(entry.path().filename().string());
    const Outcome outcome = judge(entry.path().string());
    CHECK_MESSAGE(outcome.rule == "", outcome.message);
    CHECK(outcome.healed.empty());
    CHECK(outcome.report.warnings.empty());
    models++;
  }
  CHECK(models == 7);
}

TEST_CASE("llama.cpp's vocabularies are read, and are no models") {
  int vocabularies = 0;
  for (const auto& entry : std::filesystem::directory_iterator(INLAY_VOCABS)) {
    if (entry.path().extension() != ".gguf") continue;
    CAPTURE(entry.path().filename().string());
    CHECK(Reader::open(entry.path().string())->strings("tokenizer.ggml.tokens").size() > 30000);
    CHECK(judge(entry.path().string()).rule == "GGUF_VOCAB_ONLY");
    vocabularies++;
  }
  CHECK(vocabularies >= 19);
}
