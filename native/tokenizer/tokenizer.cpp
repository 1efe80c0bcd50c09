#include "tokenizer/tokenizer.h"

#include "gguf/reader.h"
#include "tokenizer/kinds.h"

namespace inlay {

std::unique_ptr<Tokenizer> Tokenizer::create(const gguf::Reader& file) {
  const std::string_view model = file.string("tokenizer.ggml.model").value_or("");
  if (model == "bert") return make_wordpiece(Vocabulary(file));
  if (model == "t5") return make_unigram(Vocabulary(file));
  if (model == "gpt2") return make_byte_bpe(Vocabulary(file));
  if (model == "llama") return make_sentencepiece_bpe(Vocabulary(file));
  return nullptr;
}

}  // namespace inlay
