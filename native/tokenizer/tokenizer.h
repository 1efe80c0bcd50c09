#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace inlay {

namespace gguf { class Reader; }

// The model's own tokenizer, as its authors' implementation splits text (not as llama.cpp approximates it).
// Immutable after construction: one tokenizer serves any number of threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Appends the ids of `text` without the special tokens around it. `text` is UTF-8; ill-formed bytes count as
  // U+FFFD. With parse_special, the literal text of a control token ("[SEP]") becomes that token.
  // Time is linear in the text. Throws std::bad_alloc only.
  virtual void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const = 0;

  // The special tokens the model puts around every text.
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;

  // "exact", or whose approximation it is.
  const char* name = "exact";

  // The tokenizer for this file's vocabulary, or nullptr where no exact one exists.
  // Throws Failure(model_invalid) where the vocabulary contradicts itself.
  static std::unique_ptr<Tokenizer> create(const gguf::Reader& file);
};

}  // namespace inlay
