// Writes the corpus, and a regular file of each architecture, into a folder: gguf_corpus <folder> [mutations]. The
// list of files and the rule each breaks ("-" where it must load) goes to standard output. Into the folder's
// subfolder accepted/ goes a healed copy of each file that the validator lets pass, random mutations among them: what
// llama.cpp must then load and embed with.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gguf_corpus.h"
#include "gguf_judge.h"
#include "gguf_mutator.h"

namespace {

using namespace inlay::gguf;
using namespace inlay::gguf::test;

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!stream.flush()) throw std::filesystem::filesystem_error("cannot write", path, std::error_code());
}

// Copies a file as healed where it passes; whether it did.
bool accept(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (judge(from.string()).rule != "") return false;
  const auto file = Reader::open(from.string());
  heal(*file);
  std::FILE* stream = std::fopen(to.string().c_str(), "wb");
  if (stream == nullptr) throw std::filesystem::filesystem_error("cannot write", to, std::error_code());
  write_model(*file, stream);
  std::fclose(stream);
  return true;
}

void write_corpus(const std::filesystem::path& folder, uint64_t mutations) {
  const std::filesystem::path accepted = folder / "accepted";
  std::filesystem::create_directories(accepted);
  for (const auto& list : {valid_corpus(), malformed_corpus()}) {
    for (const CorpusFile& file : list) {
      write_file(folder / file.name, file.bytes);
      accept(folder / file.name, accepted / file.name);
      std::printf("%s\t%s\n", file.name.c_str(), file.rule.empty() ? "-" : file.rule.c_str());
    }
  }
  for (uint64_t seed = 1; seed <= mutations; seed++) {
    const std::string name = "mutation-" + std::to_string(seed) + ".gguf";
    write_file(folder / name, mutated_file(seed));
    accept(folder / name, accepted / name);
    std::filesystem::remove(folder / name);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || count > 3) {
    std::fputs("usage: gguf_corpus <folder> [mutations]\n", stderr);
    return 2;
  }
  try {
    write_corpus(arguments[1], count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
