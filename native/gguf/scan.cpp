#include "gguf/scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string_view>

#include "gguf/hparams.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

constexpr float max_weight = 1e4f;  // trained weights stay below some hundreds
constexpr uint64_t chunk_bytes = uint64_t{1} << 20;

// Without their sign, IEEE numbers order as integers do: the largest pattern tells the largest magnitude and whether
// any of them is infinite or NaN. Integer maxima vectorise; float ones, for the sake of NaN, do not.
template <typename Bits>
Bits largest_pattern(const uint8_t* data, uint64_t count, uint64_t stride, Bits magnitude_mask) {
  Bits largest = 0;
  for (uint64_t i = 0; i < count; i++) {
    Bits bits;
    std::memcpy(&bits, data + i * stride, sizeof bits);
    const Bits magnitude = static_cast<Bits>(bits & magnitude_mask);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

Scan scan_f32(const uint8_t* data, uint64_t count) {
  const auto largest = static_cast<uint32_t>(largest_pattern<int32_t>(data, count, sizeof(int32_t), 0x7FFFFFFF));
  return {largest < 0x7F800000u, from_bits(largest)};
}

Scan scan_bf16(const uint8_t* data, uint64_t count) {
  const auto largest = static_cast<uint32_t>(largest_pattern<int16_t>(data, count, sizeof(int16_t), 0x7FFF));
  return {largest < 0x7F80u, from_bits(largest << 16)};
}

Scan scan_f16(const uint8_t* data, uint64_t count, uint64_t stride) {
  const int16_t largest = stride == sizeof(int16_t) ? largest_pattern<int16_t>(data, count, sizeof(int16_t), 0x7FFF)
                                                    : largest_pattern<int16_t>(data, count, stride, 0x7FFF);
  const int exponent = largest >> 10, fraction = largest & 0x3FF;
  const float value = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                    : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return {largest < 0x7C00, value};
}

// Where a block holds its one or two f16 scales: the offset of the first, and how many.
struct Scales {
  uint32_t offset;
  uint32_t count;
};

Scales scales_of(TensorType type) {
  switch (type) {
    case TensorType::q4_1:
    case TensorType::q5_1:
    case TensorType::q4_k:
    case TensorType::q5_k: return {0, 2};
    case TensorType::q2_k: return {80, 2};
    case TensorType::q3_k: return {108, 1};
    case TensorType::q6_k: return {208, 1};
    default: return {0, 1};
  }
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

Scan scan_block(TensorType type, const void* data, uint64_t elements) {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  switch (type) {
    case TensorType::f32: return scan_f32(bytes, elements);
    case TensorType::bf16: return scan_bf16(bytes, elements);
    case TensorType::f16: return scan_f16(bytes, elements, sizeof(int16_t));
    case TensorType::i8:
    case TensorType::i16:
    case TensorType::i32: return {true, 1};
    default: break;
  }
  const BlockSize block = block_size(type);
  const Scales scales = scales_of(type);
  Scan scan;
  for (uint32_t i = 0; i < scales.count; i++) {
    scan.merge(scan_f16(bytes + scales.offset + 2 * i, elements / block.elements, block.bytes));
  }
  return scan;
}

void check_scan(const Tensor& tensor, const Scan& scan) {
  if (!scan.finite) throw broken("GGUF_WEIGHTS_FINITE", "tensor " + printable(tensor.name) + " holds NaN or infinity");
  if (scan.largest > max_weight) {
    throw broken("GGUF_WEIGHTS_RANGE", "tensor " + printable(tensor.name) + " holds numbers as large as " +
                                           std::to_string(scan.largest) + "; weights are below 10000");
  }
  const bool vital = tensor.name == "token_embd.weight" || ends_with(tensor.name, "norm.weight");
  if (vital && scan.largest == 0) {
    throw broken("GGUF_WEIGHTS_ZERO", "tensor " + printable(tensor.name) + " holds nothing but zeros");
  }
}

void check_weights(const Reader& file) {
  const std::unique_ptr<uint8_t[]> buffer(new uint8_t[chunk_bytes]);
  for (const Tensor& tensor : file.tensors()) {
    const BlockSize block = block_size(tensor.type);
    const uint64_t step = chunk_bytes / block.bytes * block.bytes;
    Scan scan;
    for (uint64_t at = 0; at < tensor.bytes; at += step) {
      const uint64_t bytes = std::min(step, tensor.bytes - at);
      file.read(tensor, at, bytes, buffer.get());
      scan.merge(scan_block(tensor.type, buffer.get(), bytes / block.bytes * block.elements));
    }
    check_scan(tensor, scan);
  }
}

}  // namespace inlay::gguf
