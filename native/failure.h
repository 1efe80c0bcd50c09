#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace inlay {

// What went wrong, as the JavaScript side names it. lib/errors.ts holds the same table, in the same order.
enum class FailureCode : int32_t {
  model_not_found,
  model_invalid,
  model_unsupported,
  input_invalid,
  input_too_long,
  queue_full,
  out_of_memory,
  device,
  disposed,
  aborted,
  internal,
};

// The one exception type of native/. It never leaves a thread's entry function or a C callback.
class Failure : public std::exception {
 public:
  Failure(FailureCode code, std::string message) : code(code), message(std::move(message)) {}

  // At one input of a request: `index` counts from 0.
  Failure(FailureCode code, std::string message, int64_t index)
      : code(code), message(std::move(message)), index(index) {}

  const char* what() const noexcept override { return message.c_str(); }

  FailureCode code;
  std::string message;
  int64_t index = -1;
  std::string rule;     // the validator's rule, such as "GGUF_MAGIC"; empty elsewhere
  int64_t tokens = -1;  // input_too_long: the tokens of the text
  int64_t limit = -1;   // input_too_long: the tokens that fit; queue_full: milliseconds to wait
};

// For where memory has run out: its message is short enough to need none.
inline Failure out_of_memory() { return {FailureCode::out_of_memory, "out of memory"}; }

}  // namespace inlay
