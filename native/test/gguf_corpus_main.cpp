// Writes the corpus, and a regular file of each architecture, into a folder: gguf_corpus <folder>. The list of files
// and the rule each breaks ("-" where it must load) goes to standard output.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "gguf_corpus.h"

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: gguf_corpus <folder>\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  std::filesystem::create_directories(folder);
  for (const auto& list : {inlay::gguf::test::valid_corpus(), inlay::gguf::test::malformed_corpus()}) {
    for (const auto& file : list) {
      std::ofstream stream(folder / file.name, std::ios::binary);
      stream.write(file.bytes.data(), static_cast<std::streamsize>(file.bytes.size()));
      if (!stream.flush()) {
        std::fprintf(stderr, "cannot write %s\n", file.name.c_str());
        return 1;
      }
      std::printf("%s\t%s\n", file.name.c_str(), file.rule.empty() ? "-" : file.rule.c_str());
    }
  }
  return 0;
}
