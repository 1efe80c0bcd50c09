#pragma once

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "failure.h"
#include "gguf/heal.h"
#include "gguf/reader.h"
#include "gguf/validate.h"

namespace inlay::gguf::test {

// A file in the temporary folder that goes with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) : path(unique_path()) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::string name() const { return path.string(); }

 private:
  static std::filesystem::path unique_path() {
    static std::atomic<int> count{0};
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    return std::filesystem::temp_directory_path() /
           ("inlay-gguf-" + std::to_string(now) + "-" + std::to_string(count++) + ".gguf");
  }

  std::filesystem::path path;
};

// What came of a file: the rule it broke, or "" and its report.
struct Outcome {
  std::string rule;
  std::string message;
  ValidationReport report;
  std::vector<std::string> healed;
  double seconds;  // of this process's CPU: a busy machine is not the file's fault
};

// Opens, heals and validates, weights included, as loading a model does.
inline Outcome judge(const std::string& path) {
  const std::clock_t start = std::clock();
  Outcome outcome;
  try {
    const auto file = Reader::open(path);
    outcome.healed = heal(*file);
    ValidateOptions options;
    options.scan_weights = true;
    outcome.report = validate(*file, options);
  } catch (const Failure& failure) {
    outcome.rule = failure.rule.empty() ? "a failure without a rule" : failure.rule;
    outcome.message = failure.message;
  }
  outcome.seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  return outcome;
}

inline Outcome judge_bytes(const std::string& bytes) {
  const TemporaryFile file(bytes);
  return judge(file.name());
}

}  // namespace inlay::gguf::test
