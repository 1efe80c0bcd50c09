#include "tokenizer/vocabulary.h"

#include <cmath>

#include "failure.h"
#include "gguf/rules.h"

namespace inlay {

namespace {

// A token's text bounds the work per byte of input, and the tables count in 32 bits.
constexpr size_t max_tokens = size_t{1} << 22;
constexpr size_t max_token_bytes = 4096;
constexpr size_t max_total_bytes = size_t{1} << 28;

constexpr char prefix[] = "tokenizer.ggml.";

}  // namespace

Vocabulary::Vocabulary(const gguf::Reader& file)
    : file(file),
      model(file.string("tokenizer.ggml.model").value_or("")),
      pre(file.string("tokenizer.ggml.pre").value_or("")),
      tokens(file.strings("tokenizer.ggml.tokens")) {
  if (tokens.empty() || tokens.size() > max_tokens) {
    throw gguf::broken("TOKENIZER_TOKENS", "tokenizer.ggml.tokens: expected 1 to " +
                                               std::to_string(max_tokens) + " strings, found " +
                                               std::to_string(tokens.size()));
  }
  size_t total = 0;
  for (size_t id = 0; id < tokens.size(); id++) {
    total += tokens[id].size();
    if (tokens[id].size() > max_token_bytes || !gguf::is_utf8(tokens[id])) {
      throw gguf::broken("TOKENIZER_TOKEN_TEXT",
                         "tokenizer.ggml.tokens: token " + std::to_string(id) +
                             " is not UTF-8 of at most " + std::to_string(max_token_bytes) +
                             " bytes: " + gguf::printable(tokens[id]));
    }
  }

  if (total >= max_total_bytes) {
    throw gguf::broken("TOKENIZER_TOKENS",
                       "tokenizer.ggml.tokens: the texts of all tokens together are " +
                           std::to_string(total) + " bytes, expected fewer than " +
                           std::to_string(max_total_bytes));
  }

  types.assign(tokens.size(), TokenType::normal);
  if (file.find("tokenizer.ggml.token_type")) {
    const std::vector<int64_t> stored = file.integers("tokenizer.ggml.token_type");
    if (stored.size() != tokens.size()) {
      throw gguf::broken("TOKENIZER_TYPES",
                         "tokenizer.ggml.token_type: expected " + std::to_string(tokens.size()) +
                             " integers, found " + std::to_string(stored.size()));
    }
    for (size_t id = 0; id < stored.size(); id++) {
      if (stored[id] < 0 || stored[id] > 6) {
        throw gguf::broken("TOKENIZER_TYPES", "tokenizer.ggml.token_type: token " +
                                                  std::to_string(id) + " has type " +
                                                  std::to_string(stored[id]) + ", expected 0 to 6");
      }
      types[id] = static_cast<TokenType>(stored[id]);
    }
  }

  scores.assign(tokens.size(), 0.0f);
  if (file.find("tokenizer.ggml.scores")) {
    scores = file.floats("tokenizer.ggml.scores");
    if (scores.size() != tokens.size()) {
      throw gguf::broken("TOKENIZER_SCORES", "tokenizer.ggml.scores: expected " +
                                                 std::to_string(tokens.size()) + " floats, found " +
                                                 std::to_string(scores.size()));
    }
    for (size_t id = 0; id < scores.size(); id++) {
      if (!std::isfinite(scores[id])) {
        throw gguf::broken("TOKENIZER_SCORES", "tokenizer.ggml.scores: the score of token " +
                                                   std::to_string(id) + " is not finite");
      }
    }
  }
}

int32_t Vocabulary::special(std::string_view key, int32_t otherwise) const {
  const auto stored = file.integer(prefix + std::string(key));
  if (stored && *stored < tokens.size()) return static_cast<int32_t>(*stored);
  return otherwise >= 0 && static_cast<size_t>(otherwise) < tokens.size() ? otherwise : none;
}

bool Vocabulary::flag(std::string_view key, bool otherwise) const {
  return file.boolean(prefix + std::string(key)).value_or(otherwise);
}

std::vector<int32_t> Vocabulary::around(std::string_view flag, bool wanted, std::string_view key,
                                        int32_t otherwise) const {
  if (!this->flag(flag, wanted)) return {};
  const int32_t id = special(key, otherwise);
  if (id == none) {
    throw gguf::broken("TOKENIZER_SPECIAL",
                       prefix + std::string(key) +
                           ": missing, but the file asks for this token around every text");
  }
  return {id};
}

}  // namespace inlay
