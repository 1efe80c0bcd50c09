#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct llama_vocab;

namespace inlay {

// llama.cpp's own tokenizer behind the checks that its asserts and its std::regex need.
class GgmlVocab {
 public:
  // `pre` is the file's tokenizer.ggml.pre.
  GgmlVocab(const llama_vocab* vocab, std::string_view pre);

  // Throws Failure(input_invalid) for a text that would overflow the stack of this vocabulary's splitter.
  void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const;

  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;

 private:
  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special) const;

  const llama_vocab* vocab;
  bool recursive_splitter;
};

}  // namespace inlay
