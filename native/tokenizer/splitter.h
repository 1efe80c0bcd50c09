#pragma once

#include <string_view>

namespace inlay {

// How a byte-level BPE cuts a text into words before it merges inside them.
enum class Split {
  gpt2,    // '(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  qwen2,   // (?i:'(?:s|t|re|ve|m|ll|d))|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*
           //   |\s*[\r\n]+|\s+(?!\S)|\s+
  llama3,  // as qwen2, with \p{N}{1,3}
};

// Length in bytes of the word at the start of `text`, which is well-formed UTF-8 and not empty.
// Every byte belongs to a word. The words before do not matter.
size_t word_length(std::string_view text, Split split);

}  // namespace inlay
