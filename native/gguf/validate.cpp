#include "gguf/validate.h"

#include "gguf/hparams.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

// llama.cpp compares each key and each tensor name with all before it: more would take it seconds.
constexpr size_t max_keys = 4096;
constexpr size_t max_tensors = 4096;

void check_counts(const Reader& file) {
  if (file.metadata().size() > max_keys || file.tensors().size() > max_tensors) {
    throw broken("GGUF_COUNT", "the file has " + std::to_string(file.metadata().size()) + " keys and " +
                                   std::to_string(file.tensors().size()) + " tensors; a model has at most " +
                                   std::to_string(max_keys) + " and " + std::to_string(max_tensors));
  }
}

void check_file_end(const Reader& file, ValidationReport& report) {
  const Tensor& last = file.tensors().back();
  const uint64_t end = last.offset + last.bytes;
  if (file.file_size() - end >= file.alignment()) {
    report.warnings.push_back(std::to_string(file.file_size() - end) + " bytes follow the last tensor; they are not "
                              "used");
  }
}

void check_memory(const Reader& file, const ValidateOptions& options, ValidationReport& report) {
  for (const Tensor& tensor : file.tensors()) {
    report.weight_bytes += tensor.bytes;
    report.parameters += tensor.ne[0] * tensor.ne[1] * tensor.ne[2] * tensor.ne[3];
  }
  if (options.memory_limit > 0 && report.weight_bytes > options.memory_limit) {
    Failure failure(FailureCode::out_of_memory, "the weights take " + std::to_string(report.weight_bytes) +
                                                    " bytes; the limit is " + std::to_string(options.memory_limit));
    failure.rule = "GGUF_MEMORY";
    throw failure;
  }
}

}  // namespace

ValidationReport validate(const Reader& file, const ValidateOptions& options) {
  ValidationReport report;
  check_counts(file);
  check_kind(file, options);
  check_file_end(file, report);
  check_memory(file, options, report);
  const HParams hparams = check_hparams(file, options, report);
  const uint64_t tokens = check_vocabulary(file, report);
  check_schema(file, hparams, tokens);
  report.known_schema = hparams.architecture->known_schema;
  if (options.scan_weights) check_weights(file);
  return report;
}

}  // namespace inlay::gguf
