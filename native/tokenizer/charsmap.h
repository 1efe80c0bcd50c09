#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf/reader.h"

namespace inlay {

// SentencePiece's normalisation table, as tokenizer.ggml.precompiled_charsmap holds it: the size of
// a double-array trie in bytes, the trie (Darts-clone's 32-bit units), then the replacement texts,
// each ended by NUL.
class Charsmap {
 public:
  Charsmap() = default;  // replaces nothing

  // Throws Failure(model_invalid) where the parts do not fit together.
  explicit Charsmap(const gguf::Value& stored);

  // What the longest known prefix of `text` becomes, and the length of that prefix; 0 where none is
  // known.
  std::pair<std::string_view, size_t> replace_prefix(std::string_view text) const;

 private:
  std::vector<uint32_t> units;
  std::string replacements;
};

}  // namespace inlay
