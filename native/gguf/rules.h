#pragma once

#include <string>
#include <string_view>

#include "failure.h"

namespace inlay::gguf {

// The failure of one rule of the format: names the key or tensor, what was expected and what was found.
inline Failure broken(const char* rule, std::string message) {
  Failure failure(FailureCode::model_invalid, std::move(message));
  failure.rule = rule;
  return failure;
}

// A file that is sound but that inlay has no use for.
inline Failure unsupported(const char* rule, std::string message) {
  Failure failure(FailureCode::model_unsupported, std::move(message));
  failure.rule = rule;
  return failure;
}

// Text of a file, fit for a message or a log line: quoted, at most `limit` bytes of it, everything but printable
// ASCII as \xNN.
std::string printable(std::string_view text, size_t limit = 80);

// Whether the bytes are well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

}  // namespace inlay::gguf
