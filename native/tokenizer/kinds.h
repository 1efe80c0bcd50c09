#pragma once

#include <memory>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace inlay {

// One function per kind of vocabulary; nullptr where this kind's exact rules are not known for the file.
std::unique_ptr<Tokenizer> make_wordpiece(const Vocabulary& vocabulary);        // tokenizer.ggml.model "bert"
std::unique_ptr<Tokenizer> make_unigram(const Vocabulary& vocabulary);          // "t5"
std::unique_ptr<Tokenizer> make_byte_bpe(const Vocabulary& vocabulary);         // "gpt2"
std::unique_ptr<Tokenizer> make_sentencepiece_bpe(const Vocabulary& vocabulary);  // "llama"

}  // namespace inlay
