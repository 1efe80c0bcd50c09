#pragma once

#include <memory>

#include "engine/engine.h"
#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace inlay {

// True where create_fused_engine would take the model on a CPU, as far as the file's metadata and tensor list tell.
bool fused_supports(const gguf::Reader& file);

// The fused CPU engine for a model file. The tokenizer may view the reader, so the engine keeps both.
// Reads `device` (must be "cpu"), `precision`, `pooling`, `context_length` and `mmap` of the options.
// Throws Failure: model_unsupported (an architecture, tokenizer, tensor type or precision it does not do),
// model_invalid (a tensor missing, of the wrong shape, or with a value that is not finite), out_of_memory, device
// (INLAY_ISA cannot be had).
std::unique_ptr<Engine> create_fused_engine(std::unique_ptr<gguf::Reader> file, std::unique_ptr<Tokenizer> tokenizer,
                                            const LoadOptions& options);

}  // namespace inlay
