// Tokenizes many texts in one process, so that another implementation can be compared with ours in
// bulk.
//   tokenize_lines <model.gguf> [parse-special] < texts > ids
// Input: per text its length in bytes as a little-endian 32-bit number, then the bytes. Output: per
// text one line of ids, without the special tokens around it.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "failure.h"
#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace {

int tokenize(const char* path, bool parse_special) {
  const auto file = inlay::gguf::Reader::open(path);
  const auto tokenizer = inlay::Tokenizer::create(*file);
  if (!tokenizer) {
    std::fprintf(stderr, "%s: no exact tokenizer for this vocabulary\n", path);
    return 3;
  }
  std::string text;
  std::string line;
  std::vector<int32_t> ids;
  uint8_t length[4];
  while (std::fread(length, 1, 4, stdin) == 4) {
    text.resize(length[0] | static_cast<size_t>(length[1]) << 8 |
                static_cast<size_t>(length[2]) << 16 | static_cast<size_t>(length[3]) << 24);
    if (std::fread(text.data(), 1, text.size(), stdin) != text.size()) return 2;
    ids.clear();
    tokenizer->encode(text, parse_special, ids);
    line.clear();
    for (const int32_t id : ids) line += std::to_string(id) + ' ';
    if (!line.empty()) line.pop_back();
    std::puts(line.c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: tokenize_lines <model.gguf> [parse-special] < texts > ids\n", stderr);
    return 2;
  }
  try {
    return tokenize(argv[1], argc > 2 && std::strcmp(argv[2], "parse-special") == 0);
  } catch (const inlay::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
