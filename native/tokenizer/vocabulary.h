#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"

namespace inlay {

// GGUF's token types.
enum class TokenType : uint8_t {
  undefined = 0, normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6,
};

// The tokenizer's keys of one file, checked. Views the reader's memory.
struct Vocabulary {
  static constexpr int32_t none = -1;

  // Throws Failure(model_invalid) where the keys contradict each other.
  explicit Vocabulary(const gguf::Reader& file);

  const gguf::Reader& file;
  std::string_view model;  // tokenizer.ggml.model
  std::string_view pre;    // tokenizer.ggml.pre
  const std::vector<std::string_view>& tokens;
  std::vector<TokenType> types;  // one per token
  std::vector<float> scores;     // one per token; zeros where the file has none

  // The id under `key`, else `otherwise`; none where that is no token.
  int32_t special(std::string_view key, int32_t otherwise) const;
  bool flag(std::string_view key, bool otherwise) const;

  // The token under `key` (or `otherwise`) where `flag` (or `wanted`) says that it stands around
  // every text, else nothing. Throws Failure(model_invalid) where there is no such token.
  std::vector<int32_t> around(std::string_view flag, bool wanted, std::string_view key,
                              int32_t otherwise) const;

  // Whether ordinary text may become this token. User-defined tokens are found before
  // (AddedTokens), and files are padded to a round number of tokens with unused ones.
  bool is_piece(size_t id) const { return types[id] == TokenType::normal && !tokens[id].empty(); }
};

}  // namespace inlay
