// libFuzzer's target for everything that touches a model file before it is trusted: reading, healing, validating with
// the weights, rewriting. Under a compiler without libFuzzer, INLAY_FUZZ_REPLAY gives it a main that runs the files
// (or the files of the folders) it is given.

#include <cstdint>
#include <cstdio>
#include <string>

#include "failure.h"
#include "gguf/heal.h"
#include "gguf/reader.h"
#include "gguf/validate.h"

#ifdef _WIN32
#error "this target reads from an anonymous file, which Windows has not"
#endif
#include <unistd.h>

#include <cstdlib>

namespace {

// One unlinked file for the process, rewritten for each input.
class InputFile {
 public:
  InputFile() {
    std::string name = (std::getenv("TMPDIR") != nullptr ? std::getenv("TMPDIR") : "/tmp") + std::string("/inlay-fuzz-XXXXXX");
    descriptor = mkstemp(name.data());
    if (descriptor < 0) std::abort();
    path = name;
  }
  ~InputFile() { unlink(path.c_str()); }

  void fill(const uint8_t* data, size_t size) {
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  }

  std::string path;

 private:
  int descriptor;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace inlay;
  static InputFile input;
  input.fill(data, size);
  try {
    const auto file = gguf::Reader::open(input.path);
    gguf::heal(*file);
    gguf::ValidateOptions options;
    options.scan_weights = true;
    try {
      gguf::validate(*file, options);
    } catch (const Failure& failure) {
      if (failure.rule.empty()) std::abort();
    }
    gguf::header(*file);
  } catch (const Failure& failure) {
    if (failure.rule.empty()) std::abort();
  }
  return 0;
}

#ifdef INLAY_FUZZ_REPLAY
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

int replay(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  int files = 0;
  for (int i = 1; i < count; i++) {
    if (!std::filesystem::is_directory(arguments[i])) {
      files += replay(arguments[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(arguments[i])) {
      if (entry.is_regular_file()) files += replay(entry.path());
    }
  }
  std::printf("%d files\n", files);
  return files > 0 ? 0 : 2;
}
#endif
