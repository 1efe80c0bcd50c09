#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gguf/reader.h"
#include "json.h"
#include "tokenizer/tokenizer.h"

namespace {

using inlay::Tokenizer;
using Ids = std::vector<int32_t>;

std::string vocabulary_path(const std::string& name) {
  const char* chosen = std::getenv("INLAY_VOCABS");
  return (chosen ? std::string(chosen) : std::string(INLAY_VOCABS)) + "/ggml-vocab-" + name +
         ".gguf";
}

std::unique_ptr<Tokenizer> open(const std::string& path) {
  return Tokenizer::create(*inlay::gguf::Reader::open(path));
}

std::unique_ptr<Tokenizer> open_vocabulary(const std::string& name) {
  auto tokenizer = open(vocabulary_path(name));
  REQUIRE_MESSAGE(tokenizer, name);
  return tokenizer;
}

Ids encode(const Tokenizer& tokenizer, std::string_view text, bool parse_special = false) {
  Ids ids;
  tokenizer.encode(text, parse_special, ids);
  return ids;
}

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

std::vector<Ids> read_ids(const std::string& path) {
  std::istringstream lines(read_text(path));
  std::vector<Ids> all;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    all.emplace_back();
    for (int32_t id; numbers >> id;) all.back().push_back(id);
  }
  return all;
}

// One vocabulary of each kind and splitting rule.
const std::vector<std::string> kinds = {"bert-bge", "nomic-bert-moe", "qwen2",    "gpt-2",
                                        "mpt",      "llama-bpe",      "llama-spm"};

}  // namespace

TEST_CASE("ids agree with llama.cpp's published pairs of texts and ids") {
  for (const std::string name :
       {"bert-bge", "qwen2", "gpt-2", "mpt", "llama-bpe", "llama-spm", "phi-3"}) {
    CAPTURE(name);
    const auto tokenizer = open_vocabulary(name);
    const auto texts = read_cases(vocabulary_path(name) + ".inp");
    const auto expected = read_ids(vocabulary_path(name) + ".out");
    REQUIRE(texts.size() == expected.size());
    for (size_t i = 0; i < texts.size(); i++) {
      CAPTURE(texts[i]);
      CHECK(encode(*tokenizer, texts[i]) == expected[i]);
    }
  }
}

TEST_CASE("ids agree with the reference models' golden files") {
  const char* folder = std::getenv("INLAY_REFERENCE");
  if (!folder) {
    MESSAGE("skipped: INLAY_REFERENCE does not name the folder of the reference models");
    return;
  }
  for (const char* name : {"tiny-bert-mean", "tiny-bert-cls", "tiny-nomic", "tiny-xlmr",
                           "tiny-gemma-embedding", "tiny-qwen3", "tiny-modern-bert"}) {
    const std::string path = std::string(folder) + "/" + name;
    CAPTURE(path);
    const auto tokenizer = open(path + ".gguf");
    REQUIRE(tokenizer);
    const std::string text = read_text(path + ".json");
    const json::Value golden = json::Parser(text).parse();
    for (const char* part : {"texts", "extra_texts"}) {
      for (const json::Value& entry : golden[part].items) {
        CAPTURE(entry["name"].text);
        Ids ids = tokenizer->prefix;
        tokenizer->encode(entry["text"].text, false, ids);
        ids.insert(ids.end(), tokenizer->suffix.begin(), tokenizer->suffix.end());
        Ids expected;
        for (const json::Value& id : entry[entry.has("ids_hf") ? "ids_hf" : "ids"].items) {
          expected.push_back(static_cast<int32_t>(id.number));
        }
        CHECK(ids == expected);
      }
    }
  }
}

TEST_CASE("vocabularies whose rules are not known for sure have no exact tokenizer") {
  for (const char* name : {"starcoder", "falcon", "deepseek-llm", "command-r", "gpt-neox"}) {
    CAPTURE(name);
    CHECK(open(vocabulary_path(name)) == nullptr);
  }
}

TEST_CASE("special tokens around a text follow the file and the kind's defaults") {
  const auto around = [](const char* name) {
    const auto tokenizer = open_vocabulary(name);
    return std::pair(tokenizer->prefix, tokenizer->suffix);
  };
  CHECK(around("bert-bge") == std::pair(Ids{101}, Ids{102}));
  CHECK(around("nomic-bert-moe") == std::pair(Ids{0}, Ids{2}));
  CHECK(around("qwen2") == std::pair(Ids{}, Ids{}));
  CHECK(around("llama-bpe") == std::pair(Ids{128000}, Ids{}));
  CHECK(around("llama-spm") == std::pair(Ids{1}, Ids{}));
}

TEST_CASE("the text of a control token is text unless the caller asks for the token") {
  const auto check = [](const char* name, const std::string& text, int32_t id) {
    CAPTURE(name);
    const auto tokenizer = open_vocabulary(name);
    const Ids plain = encode(*tokenizer, text);
    CHECK(std::find(plain.begin(), plain.end(), id) == plain.end());
    CHECK(encode(*tokenizer, text, true) == Ids{id});
    Ids expected = encode(*tokenizer, "a");
    expected.push_back(id);
    const Ids rest = encode(*tokenizer, "b");
    expected.insert(expected.end(), rest.begin(), rest.end());
    CHECK(encode(*tokenizer, "a" + text + "b", true) == expected);
  };
  check("bert-bge", "[SEP]", 102);
  check("nomic-bert-moe", "</s>", 2);
  check("nomic-bert-moe", "<mask>", 250001);
  check("qwen2", "<|im_start|>", 151644);
  check("gpt-2", "<|endoftext|>", 50256);
  check("llama-spm", "</s>", 2);
}

TEST_CASE("user-defined tokens are found in every text, the longest first") {
  const auto tokenizer = open_vocabulary("mpt");
  CHECK(encode(*tokenizer, "   ") == Ids{50275});
  CHECK(encode(*tokenizer, std::string(24, ' ')) == Ids{50254});
  CHECK(encode(*tokenizer, std::string(26, ' ')) == Ids{50254, 50276});
}

TEST_CASE("an empty text has no tokens") {
  for (const std::string& name : kinds) {
    CAPTURE(name);
    CHECK(encode(*open_vocabulary(name), "").empty());
  }
}

TEST_CASE(
    "WordPiece decomposes Hangul, keeps enclosing marks and knows no word of more than 100 "
    "characters") {
  const auto tokenizer = open_vocabulary("bert-bge");
  CHECK(encode(*tokenizer, "한국") == encode(*tokenizer, "\u1112\u1161\u11ab\u1100\u116e\u11a8"));
  CHECK(encode(*tokenizer, "1\uFE0F\u20E3") != encode(*tokenizer, "1"));
  CHECK(encode(*tokenizer, std::string(100, 'a')).size() > 1);
  CHECK(encode(*tokenizer, std::string(101, 'a')) == Ids{100});
  CHECK(encode(*tokenizer, "Ａ\u0301É") == encode(*tokenizer, "ａe"));
  CHECK(encode(*tokenizer, std::string("a\0b\x07", 4) + "\uFFFD\uE000c") ==
        encode(*tokenizer, "abc"));
}

TEST_CASE("byte-level BPE composes first where the model does") {
  const auto qwen2 = open_vocabulary("qwen2");
  CHECK(encode(*qwen2, "e\u0301\u0323 \u1112\u1161\u11ab") ==
        encode(*qwen2, "\u1EB9\u0301 \uD55C"));
  const auto gpt2 = open_vocabulary("gpt-2");
  CHECK(encode(*gpt2, "e\u0301") != encode(*gpt2, "\u00E9"));
}

TEST_CASE("ill-formed UTF-8 counts as one U+FFFD per maximal subpart") {
  const std::pair<std::string, std::string> cases[] = {
      {"a\x80z", "a\uFFFDz"},
      {"\xC3", "\uFFFD"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},
      {"\xE2\x96z", "\uFFFDz"},
      {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98 \xF5\xFF", "\uFFFD \uFFFD\uFFFD"},
      {"12345678\xE2\x82", "12345678\uFFFD"},
  };
  for (const std::string& name : kinds) {
    const auto tokenizer = open_vocabulary(name);
    for (const auto& [bad, good] : cases) {
      CAPTURE(good);
      CHECK(encode(*tokenizer, bad) == encode(*tokenizer, good));
    }
  }
}

TEST_CASE("one tokenizer serves many threads") {
  for (const std::string& name : kinds) {
    const auto tokenizer = open_vocabulary(name);
    const auto texts = read_cases(vocabulary_path("bert-bge") + ".inp");
    std::vector<Ids> expected;
    for (const std::string& text : texts) expected.push_back(encode(*tokenizer, text));
    std::vector<int> wrong(4);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < wrong.size(); t++) {
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < 4 * texts.size(); i++) {
          const size_t at = (i * (t + 1)) % texts.size();
          wrong[t] += encode(*tokenizer, texts[at]) != expected[at];
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(4));
  }
}

TEST_CASE("time is linear in runs of one class") {
  const auto repeat = [](std::string_view part, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; i++) text += part;
    return text;
  };
  const auto seconds = [](const Tokenizer& tokenizer, const std::string& text) {
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
      const std::clock_t start = std::clock();
      encode(tokenizer, text);
      best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    }
    return best;
  };
  // Letters, digits, punctuation, spaces, line breaks, ideographs, marks in reverse canonical
  // order, conjoining jamo, emoji, control characters, ill-formed bytes, beginnings of special
  // tokens.
  const char* runs[] = {
      "a",      "7",      "!",      " ",          "\n",   " \n",  "\u4E2D", "\u0301\u0323",
      "\u1112", "\u1161", "\u0915", "\U0001F600", "\x01", "\xE2", "<|end",  "'s"};
  for (const std::string& name : kinds) {
    const auto tokenizer = open_vocabulary(name);
    for (const char* run : runs) {
      CAPTURE(name);
      CAPTURE(run);
      const double once = seconds(*tokenizer, repeat(run, 50'000));
      const double twice = seconds(*tokenizer, repeat(run, 100'000));
      CHECK(twice < 4 * once + 0.01);
    }
  }
}

TEST_CASE("random bytes give ids of the vocabulary") {
  std::mt19937 random(1);
  for (const std::string& name : kinds) {
    const auto file = inlay::gguf::Reader::open(vocabulary_path(name));
    const auto tokenizer = Tokenizer::create(*file);
    const auto size = static_cast<int32_t>(file->strings("tokenizer.ggml.tokens").size());
    for (int i = 0; i < 500; i++) {
      std::string text(random() % 200, '\0');
      for (char& c : text) c = static_cast<char>(random());
      for (const int32_t id : encode(*tokenizer, text, i % 2 == 0)) {
        if (id < 0 || id >= size) FAIL("id " << id << " in " << name);
      }
    }
  }
}
