#include "tokenizer/tokenizer.h"

#include "gguf/reader.h"
#include "tokenizer/kinds.h"

namespace inlay {

std::unique_ptr<Tokenizer> Tokenizer::create(const gguf::Reader& file) {
  const std::string_view model = file.string("tokenizer.ggml.model").value_or("");
  if (model == "bert") return make_wordpiece(Vocabulary(file));
  if (model == "t5") return nullptr;
  if (model == "gpt2") return nullptr;
  if (model == "llama") return nullptr;
  return nullptr;
}

}  // namespace inlay
