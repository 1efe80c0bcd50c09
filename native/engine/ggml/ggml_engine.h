#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace inlay {

namespace gguf { class Reader; }
class Tokenizer;

// `report` gets 0..1 and ends the load with Failure(aborted) by returning false.
struct LoadProgress {
  bool (*report)(float fraction, void* context) = nullptr;
  void* context = nullptr;
};

// llama.cpp through its public C API: every embedding architecture it has, on the CPU, CUDA and Metal. The tokenizer
// may view the reader, so the engine keeps both.
std::unique_ptr<Engine> create_ggml_engine(std::unique_ptr<gguf::Reader> file, std::unique_ptr<Tokenizer> tokenizer,
                                           const LoadOptions& options, LoadProgress progress);

struct GgmlDevice {
  std::string name;         // "cpu", "cuda:0", "metal"
  std::string description;
  uint64_t memory_free;     // bytes, 0 where unknown
  uint64_t memory_total;
};
std::vector<GgmlDevice> ggml_devices();

// "0.5.0 (de3ff81)"
std::string llama_version_text();

}  // namespace inlay
