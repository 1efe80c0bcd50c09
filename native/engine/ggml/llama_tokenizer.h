#pragma once

#include <cstdio>
#include <memory>

#include "tokenizer/tokenizer.h"

struct llama_vocab;

namespace inlay {

// llama.cpp's own tokenizer behind the checks that its asserts and its std::regex need. `file` is the model whose
// vocabulary it reads. Throws Failure(model_invalid) where llama.cpp cannot.
std::unique_ptr<Tokenizer> create_llama_tokenizer(const gguf::Reader& file);

// A stream with the model as llama.cpp is to read it: on the descriptor that the reader has checked, so that nothing
// can be swapped between check and load; or a corrected copy, where the reader was healed.
struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
std::unique_ptr<std::FILE, FileCloser> open_model_stream(const gguf::Reader& file);

}  // namespace inlay
