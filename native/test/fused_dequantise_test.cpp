#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

#include "engine/fused/dequantise.h"
#include "ggml.h"

using namespace inlay;

TEST_CASE("every tensor type widens to the floats that ggml widens it to, bit for bit") {
  std::mt19937 bits(1);
  const int64_t count = 256 * 64;
  for (gguf::TensorType type :
       {gguf::TensorType::f32, gguf::TensorType::f16, gguf::TensorType::bf16, gguf::TensorType::q4_0,
        gguf::TensorType::q4_1, gguf::TensorType::q5_0, gguf::TensorType::q5_1, gguf::TensorType::q8_0,
        gguf::TensorType::q2_k, gguf::TensorType::q3_k, gguf::TensorType::q4_k, gguf::TensorType::q5_k,
        gguf::TensorType::q6_k, gguf::TensorType::iq4_nl, gguf::TensorType::iq4_xs}) {
    const ggml_type theirs = ggml_type(type);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = std::normal_distribution<float>()(bits);
    std::vector<uint8_t> raw(ggml_row_size(theirs, count));
    if (type == gguf::TensorType::f32) std::memcpy(raw.data(), values.data(), raw.size());
    else ggml_quantize_chunk(theirs, values.data(), raw.data(), 0, 1, count, nullptr);

    std::vector<float> mine(values.size()), expected = values;
    fused::dequantise(type, raw.data(), mine.data(), count);
    if (type != gguf::TensorType::f32) {
      ggml_get_type_traits(theirs)->to_float(raw.data(), expected.data(), count);
    }
    INFO(gguf::type_name(type));
    CHECK(std::memcmp(mine.data(), expected.data(), mine.size() * sizeof(float)) == 0);
  }
}
