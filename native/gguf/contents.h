#pragma once

#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gguf/file.h"
#include "gguf/hash.h"
#include "gguf/reader.h"

namespace inlay::gguf {

using NameIndex = std::unordered_map<std::string_view, size_t, KeyedHash>;

struct FreeBlock {
  void operator()(uint8_t* block) const { std::free(block); }
};

// What stands before a file's tensor data.
struct Contents {
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_start = 0;  // of the tensor data, from the start of the file
  std::string architecture;
  std::vector<std::pair<std::string, Value>> metadata;
  std::vector<Tensor> tensors;
  std::unique_ptr<uint8_t[], FreeBlock> block;  // the metadata's bytes; values view it
  std::deque<std::string> edited;               // bytes of values that were set after the file was read
};

// The first bytes of a file, up to the end of the tensor infos, checked against the file's size as they are read.
// Throws Failure(model_invalid) with the rule that was broken.
Contents parse(const File& file);

// For a file that does not start with GGUF's magic: what it seems to be. `bytes` is what it starts with.
std::string describe_other_file(std::string_view bytes);

}  // namespace inlay::gguf
