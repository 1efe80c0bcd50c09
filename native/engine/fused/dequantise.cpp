#include "engine/fused/dequantise.h"

#include <cstring>

namespace inlay::fused {
namespace {

using gguf::TensorType;

// Block layouts are those of ggml-common.h. Quants of fewer than eight bits lie in strips: byte i of a strip holds
// the low bits of value i and, further up, those of values a strip (or half a block) later.

constexpr int8_t nonlinear_4bit[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

float half_at(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof(half));
  return half_to_float(half);
}

uint32_t word_at(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

void q4_0(const uint8_t* block, float* out) {
  const float d = half_at(block);
  const uint8_t* q = block + 2;
  for (int i = 0; i < 16; i++) {
    out[i] = float((q[i] & 15) - 8) * d;
    out[i + 16] = float((q[i] >> 4) - 8) * d;
  }
}

void q4_1(const uint8_t* block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  const uint8_t* q = block + 4;
  for (int i = 0; i < 16; i++) {
    out[i] = float(q[i] & 15) * d + m;
    out[i + 16] = float(q[i] >> 4) * d + m;
  }
}

void q5_0(const uint8_t* block, float* out) {
  const float d = half_at(block);
  const uint32_t high = word_at(block + 2);
  const uint8_t* q = block + 6;
  for (int i = 0; i < 16; i++) {
    out[i] = float(int(q[i] & 15) + int(high >> i & 1) * 16 - 16) * d;
    out[i + 16] = float(int(q[i] >> 4) + int(high >> (i + 16) & 1) * 16 - 16) * d;
  }
}

void q5_1(const uint8_t* block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  const uint32_t high = word_at(block + 4);
  const uint8_t* q = block + 8;
  for (int i = 0; i < 16; i++) {
    out[i] = float(int(q[i] & 15) + int(high >> i & 1) * 16) * d + m;
    out[i + 16] = float(int(q[i] >> 4) + int(high >> (i + 16) & 1) * 16) * d + m;
  }
}

void q8_0(const uint8_t* block, float* out) {
  const float d = half_at(block);
  const int8_t* q = reinterpret_cast<const int8_t*>(block + 2);
  for (int i = 0; i < 32; i++) out[i] = float(q[i]) * d;
}

void q2_k(const uint8_t* block, float* out) {
  const uint8_t* scales = block;
  const uint8_t* q = block + 16;
  const float d = half_at(block + 80), min = half_at(block + 82);
  for (int group = 0; group < 16; group++) {
    const uint8_t* strip = q + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    const float scale = d * float(scales[group] & 15), offset = min * float(scales[group] >> 4);
    for (int i = 0; i < 16; i++) out[group * 16 + i] = scale * float(strip[i] >> shift & 3) - offset;
  }
}

void q3_k(const uint8_t* block, float* out) {
  const uint8_t* high = block;
  const uint8_t* q = block + 32;
  const uint8_t* packed = block + 96;  // 16 scales of 6 bits: low four bits in 8 bytes, high two in 4
  const float d = half_at(block + 108);
  for (int group = 0; group < 16; group++) {
    const int low_bits = group < 8 ? packed[group] & 15 : packed[group - 8] >> 4;
    const int high_bits = packed[8 + group % 4] >> (group / 4 * 2) & 3;
    const float scale = d * float((low_bits | high_bits << 4) - 32);
    const uint8_t* strip = q + group / 8 * 32 + group % 2 * 16;
    const uint8_t* high_strip = high + group % 2 * 16;
    const int shift = group % 8 / 2 * 2, bit = group / 2;
    for (int i = 0; i < 16; i++) {
      out[group * 16 + i] = scale * float((strip[i] >> shift & 3) - ((high_strip[i] >> bit & 1) != 0 ? 0 : 4));
    }
  }
}

// Scale and minimum of the j-th of eight groups, six bits each, in twelve bytes.
struct ScaleMin {
  int scale;
  int min;
};
ScaleMin scale_min(const uint8_t* packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4};
}

void q4_k(const uint8_t* block, float* out) {
  const float d = half_at(block), min = half_at(block + 2);
  const uint8_t* q = block + 16;
  for (int group = 0; group < 8; group++) {
    const ScaleMin packed = scale_min(block + 4, group);
    const float scale = d * float(packed.scale), offset = min * float(packed.min);
    const uint8_t* strip = q + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; i++) out[group * 32 + i] = scale * float(strip[i] >> shift & 15) - offset;
  }
}

void q5_k(const uint8_t* block, float* out) {
  const float d = half_at(block), min = half_at(block + 2);
  const uint8_t* high = block + 16;
  const uint8_t* q = block + 48;
  for (int group = 0; group < 8; group++) {
    const ScaleMin packed = scale_min(block + 4, group);
    const float scale = d * float(packed.scale), offset = min * float(packed.min);
    const uint8_t* strip = q + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; i++) {
      const int value = (strip[i] >> shift & 15) + (high[i] >> group & 1) * 16;
      out[group * 32 + i] = scale * float(value) - offset;
    }
  }
}

void q6_k(const uint8_t* block, float* out) {
  const int8_t* scales = reinterpret_cast<const int8_t*>(block + 192);
  const float d = half_at(block + 208);
  for (int strip = 0; strip < 8; strip++) {  // of 32 values
    const uint8_t* low = block + strip / 4 * 64 + strip % 2 * 32;
    const uint8_t* high = block + 128 + strip / 4 * 32;
    const int low_shift = strip % 4 / 2 * 4, high_shift = strip % 4 * 2;
    for (int i = 0; i < 32; i++) {
      const int value = ((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32;
      out[strip * 32 + i] = d * float(scales[strip * 2 + i / 16]) * float(value);
    }
  }
}

void iq4_nl(const uint8_t* block, float* out) {
  const float d = half_at(block);
  const uint8_t* q = block + 2;
  for (int i = 0; i < 16; i++) {
    out[i] = d * float(nonlinear_4bit[q[i] & 15]);
    out[i + 16] = d * float(nonlinear_4bit[q[i] >> 4]);
  }
}

void iq4_xs(const uint8_t* block, float* out) {
  const float d = half_at(block);
  const uint32_t high = uint32_t(block[2]) | uint32_t(block[3]) << 8;
  const uint8_t* low = block + 4;
  const uint8_t* q = block + 8;
  for (int group = 0; group < 8; group++) {
    const int scale = (low[group / 2] >> group % 2 * 4 & 15) | int(high >> group * 2 & 3) << 4;
    const float factor = d * float(scale - 32);
    for (int i = 0; i < 16; i++) {
      out[group * 32 + i] = factor * float(nonlinear_4bit[q[group * 16 + i] & 15]);
      out[group * 32 + 16 + i] = factor * float(nonlinear_4bit[q[group * 16 + i] >> 4]);
    }
  }
}

using BlockFunction = void (*)(const uint8_t*, float*);

BlockFunction block_function(TensorType type) {
  switch (type) {
    case TensorType::q4_0: return q4_0;
    case TensorType::q4_1: return q4_1;
    case TensorType::q5_0: return q5_0;
    case TensorType::q5_1: return q5_1;
    case TensorType::q8_0: return q8_0;
    case TensorType::q2_k: return q2_k;
    case TensorType::q3_k: return q3_k;
    case TensorType::q4_k: return q4_k;
    case TensorType::q5_k: return q5_k;
    case TensorType::q6_k: return q6_k;
    case TensorType::iq4_nl: return iq4_nl;
    case TensorType::iq4_xs: return iq4_xs;
    default: return nullptr;
  }
}

}  // namespace

float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 31;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {
    const float magnitude = float(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

bool is_dequantisable(TensorType type) {
  return type == TensorType::f32 || type == TensorType::f16 || type == TensorType::bf16 ||
         block_function(type) != nullptr;
}

void dequantise(TensorType type, const void* row, float* out, int64_t count) {
  const uint8_t* bytes = static_cast<const uint8_t*>(row);
  if (type == TensorType::f32) {
    std::memcpy(out, bytes, size_t(count) * sizeof(float));
  } else if (type == TensorType::f16) {
    for (int64_t i = 0; i < count; i++) out[i] = half_at(bytes + 2 * i);
  } else if (type == TensorType::bf16) {
    for (int64_t i = 0; i < count; i++) {
      uint16_t high;
      std::memcpy(&high, bytes + 2 * i, sizeof(high));
      const uint32_t bits = uint32_t(high) << 16;
      std::memcpy(out + i, &bits, sizeof(bits));
    }
  } else {
    const BlockFunction block = block_function(type);
    const gguf::BlockSize size = gguf::block_size(type);
    for (int64_t i = 0; i < count; i += size.elements, bytes += size.bytes) block(bytes, out + i);
  }
}

bool all_finite(const float* values, int64_t count) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    bad |= uint32_t((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

bool all_finite_halves(const uint16_t* halves, int64_t count) {
  uint16_t bad = 0;
  for (int64_t i = 0; i < count; i++) bad = uint16_t(bad | uint16_t((halves[i] & 0x7c00) == 0x7c00));
  return bad == 0;
}

}  // namespace inlay::fused
