#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "gguf/reader.h"

namespace inlay::gguf {

// Corrects known quirks of published files, where what they mean is plain, in the reader (never in the file): whoever
// reads through it afterwards sees a regular model. Returns a sentence for each correction; empty for regular files.
std::vector<std::string> heal(Reader& file);

// The header (everything before the tensor data, padded) that a file would have had to have for `file`'s corrected
// values: for readers other than ours, such as ggml's. Tensor data follows unchanged, in the same order.
std::string header(const Reader& file);

// Writes the corrected model: header and tensor data. Throws Failure(internal) where the stream does.
void write_model(const Reader& file, std::FILE* stream);

}  // namespace inlay::gguf
