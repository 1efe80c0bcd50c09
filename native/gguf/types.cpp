#include "gguf/reader.h"

namespace inlay::gguf {

uint32_t scalar_bytes(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean: return 1;
    case ValueType::u16:
    case ValueType::i16: return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32: return 4;
    case ValueType::u64:
    case ValueType::i64:
    case ValueType::f64: return 8;
    case ValueType::string:
    case ValueType::array: break;
  }
  return 0;
}

// Layouts of ggml's blocks (ggml-common.h): bytes and elements of one block.
BlockSize block_size(TensorType type) {
  switch (type) {
    case TensorType::f32: return {4, 1};
    case TensorType::f16: return {2, 1};
    case TensorType::bf16: return {2, 1};
    case TensorType::i8: return {1, 1};
    case TensorType::i16: return {2, 1};
    case TensorType::i32: return {4, 1};
    case TensorType::q4_0: return {18, 32};
    case TensorType::q4_1: return {20, 32};
    case TensorType::q5_0: return {22, 32};
    case TensorType::q5_1: return {24, 32};
    case TensorType::q8_0: return {34, 32};
    case TensorType::iq4_nl: return {18, 32};
    case TensorType::q2_k: return {84, 256};
    case TensorType::q3_k: return {110, 256};
    case TensorType::q4_k: return {144, 256};
    case TensorType::q5_k: return {176, 256};
    case TensorType::q6_k: return {210, 256};
    case TensorType::iq4_xs: return {136, 256};
  }
  return {0, 0};
}

// Names of every type a GGUF file may hold, those that inlay does not read included.
const char* type_name(TensorType type) {
  static const char* const names[] = {
      "f32",   "f16",     "q4_0",    "q4_1", nullptr, nullptr,   "q5_0", "q5_1",  "q8_0",  "q8_1", "q2_K",
      "q3_K",  "q4_K",    "q5_K",    "q6_K", "q8_K",  "iq2_xxs", "iq2_xs", "iq3_xxs", "iq1_s", "iq4_nl", "iq3_s",
      "iq2_s", "iq4_xs",  "i8",      "i16",  "i32",   "i64",     "f64",  "iq1_m", "bf16",  nullptr, nullptr,
      nullptr, "tq1_0",   "tq2_0",   nullptr, nullptr, nullptr,  "mxfp4", "nvfp4", "q1_0", "q2_0",
  };
  const uint32_t number = static_cast<uint32_t>(type);
  const bool known = number < sizeof names / sizeof *names && names[number] != nullptr;
  return known ? names[number] : "unknown";
}

}  // namespace inlay::gguf
