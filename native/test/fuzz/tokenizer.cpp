// libFuzzer's target for the exact tokenizers: any bytes against one vocabulary of each kind, from
// the folder that INLAY_VOCABS names. Under a compiler without libFuzzer, INLAY_FUZZ_REPLAY gives
// it a main that runs the files (or the files of the folders) it is given, and with --random N that
// many texts of random bytes.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

struct Vocabulary {
  std::unique_ptr<inlay::Tokenizer> tokenizer;
  int32_t size;
};

const std::vector<Vocabulary>& vocabularies() {
  static const std::vector<Vocabulary> all = [] {
    const char* chosen = std::getenv("INLAY_VOCABS");
    const std::string folder = chosen ? chosen : INLAY_VOCABS;
    std::vector<Vocabulary> loaded;
    for (const char* name :
         {"bert-bge", "nomic-bert-moe", "llama-spm", "qwen2", "mpt", "llama-bpe"}) {
      const auto file = inlay::gguf::Reader::open(folder + "/ggml-vocab-" + name + ".gguf");
      loaded.push_back({inlay::Tokenizer::create(*file),
                        static_cast<int32_t>(file->strings("tokenizer.ggml.tokens").size())});
    }
    return loaded;
  }();
  return all;
}

}  // namespace

// The first byte chooses whether special tokens are looked for; the rest is the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool parse_special = data[0] & 1;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string repaired;
  const std::string good(inlay::utf8::well_formed(text, repaired));
  for (const auto& [tokenizer, vocabulary_size] : vocabularies()) {
    std::vector<int32_t> ids;
    tokenizer->encode(text, parse_special, ids);
    for (const int32_t id : ids) {
      if (id < 0 || id >= vocabulary_size) std::abort();
    }
    std::vector<int32_t> again;
    tokenizer->encode(good, parse_special, again);
    if (ids != again) std::abort();
  }
  return 0;
}

#ifdef INLAY_FUZZ_REPLAY
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>

namespace {

void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

void replay(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  run({std::istreambuf_iterator<char>(stream), {}});
}

// Mostly bytes that can stand in UTF-8, so that more than replacement characters comes of them.
void run_random(long count) {
  std::mt19937 random(11);
  const std::string_view frequent =
      "\xE2\x96\x81\xCC\x80\xEF\xBF\xBD\xF0\x9F ' <|\n\r\tsaeIZ059[].\xED\xE1\x84";
  for (long i = 0; i < count; i++) {
    std::string bytes(random() % 300, '\0');
    for (char& byte : bytes) {
      byte = random() % 3 ? frequent[random() % frequent.size()] : static_cast<char>(random());
    }
    run(bytes);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    if (argv[i] == std::string_view("--random") && i + 1 < argc) {
      run_random(std::atol(argv[++i]));
    } else if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) replay(entry.path());
      }
    } else {
      replay(argv[i]);
    }
  }
  return 0;
}
#endif
