#pragma once

#include <memory>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace inlay {

// One function per kind of vocabulary, named as tokenizer.ggml.model names it: "bert", "t5", "gpt2",
// "llama". nullptr where this kind's exact rules are not known for the file.
std::unique_ptr<Tokenizer> make_wordpiece(const Vocabulary& vocabulary);
std::unique_ptr<Tokenizer> make_unigram(const Vocabulary& vocabulary);
std::unique_ptr<Tokenizer> make_byte_bpe(const Vocabulary& vocabulary);
std::unique_ptr<Tokenizer> make_sentencepiece_bpe(const Vocabulary& vocabulary);

}  // namespace inlay
