#include <cmath>
#include <cstring>

#include "kernels/tables.h"

// The reference: every other table is tested against this one. Plain loops, one sum at a time.
namespace inlay::kernels {
namespace {

constexpr int32_t width = 8;  // panel_columns

const float* f32(const void* matrix) { return static_cast<const float*>(matrix); }
float* f32(void* matrix) { return static_cast<float*>(matrix); }

float widen(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1f;
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

void widen_f16(const uint16_t* in, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = widen(in[i]);
}

void pack(const float* rows, int32_t stride, int32_t depth, void* panel) {
  for (int32_t k = 0; k < depth; k++) {
    for (int32_t n = 0; n < width; n++) f32(panel)[k * width + n] = rows[int64_t(n) * stride + k];
  }
}

void pack_f16(const uint16_t* rows, int32_t stride, int32_t depth, void* panel) {
  for (int32_t k = 0; k < depth; k++) {
    for (int32_t n = 0; n < width; n++) static_cast<uint16_t*>(panel)[k * width + n] = rows[int64_t(n) * stride + k];
  }
}

// Sets `bytes` to the values over the scale that it returns, the largest of them 127 or -127. Values that are not all
// finite give a scale that is not.
float quantise(const float* values, int32_t count, int8_t* bytes, int64_t stride_after_4) {
  float top = 0;
  for (int32_t k = 0; k < count; k++) {
    if (!std::isfinite(values[k])) return NAN;
    top = std::fabs(values[k]) > top ? std::fabs(values[k]) : top;
  }
  const bool zeros = top < 1e-30f;
  for (int32_t k = 0; k < count; k++) {
    bytes[k / 4 * stride_after_4 + k % 4] = zeros ? int8_t(0) : int8_t(std::nearbyint(values[k] * (127.0f / top)));
  }
  return zeros ? 0.0f : top / 127.0f;
}

int32_t quads_of(int32_t depth) { return (depth + 3) / 4; }

void pack_int8(const float* rows, int32_t stride, int32_t depth, void* panel) {
  int8_t* bytes = static_cast<int8_t*>(panel);
  float* scales = f32(panel) + int64_t(quads_of(depth)) * width;
  std::memset(bytes, 0, size_t(quads_of(depth)) * width * 4);
  for (int32_t n = 0; n < width; n++) scales[n] = quantise(rows + int64_t(n) * stride, depth, bytes + 4 * n, width * 4);
}

// One sum of column n of a panel: bytes by bytes.
float int8_sum(const int8_t* a, float a_scale, const void* panel, int32_t depth, int32_t n) {
  const int8_t* weights = static_cast<const int8_t*>(panel) + 4 * n;
  int32_t sum = 0;
  for (int32_t k = 0; k < depth; k++) sum += int32_t(a[k]) * weights[k / 4 * (width * 4) + k % 4];
  return float(sum) * a_scale * (f32(panel) + int64_t(quads_of(depth)) * width)[n];
}

float float_sum(const Product& p, const float* a, int32_t panel, int32_t n) {
  float sum = 0;
  for (int32_t k = 0; k < p.depth; k++) {
    const int64_t at = (int64_t(panel) * p.depth + k) * width + n;
    const float weight = p.panel_type == PanelType::f16 ? widen(static_cast<const uint16_t*>(p.panels)[at])
                                                        : f32(p.panels)[at];
    sum += a[k] * weight;
  }
  return sum;
}

float gelu_erf(float x) { return 0.5f * x * (1.0f + std::erf(x * float(M_SQRT1_2))); }

float gelu_tanh(float x) {
  return 0.5f * x * (1.0f + std::tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
}

float silu(float x) { return x / (1.0f + std::exp(-x)); }

float activate(Epilogue epilogue, float x) {
  switch (epilogue) {
    case Epilogue::gelu_erf:
    case Epilogue::gated_gelu_erf: return gelu_erf(x);
    case Epilogue::gelu_tanh:
    case Epilogue::gated_gelu_tanh: return gelu_tanh(x);
    case Epilogue::gated_silu: return silu(x);
    default: return x;
  }
}

// One row of a panel's sums.
void panel_sums(const Product& p, const float* a, const int8_t* bytes, float scale, int32_t panel, float* sums) {
  const char* panels = static_cast<const char*>(p.panels);
  const char* int8_panel = panels + int64_t(panel) * (quads_of(p.depth) + 1) * width * 4;
  for (int32_t n = 0; n < width; n++) {
    const float sum = bytes != nullptr ? int8_sum(bytes, scale, int8_panel, p.depth, n) : float_sum(p, a, panel, n);
    sums[n] = p.bias == nullptr ? sum : sum + p.bias[panel * width + n];
  }
}

void product(const Product& p, int32_t row_begin, int32_t row_end, int32_t panel_begin, int32_t panel_end) {
  const int32_t given = is_gated(p.epilogue) ? width / 2 : width;  // output columns of a panel
  int8_t* bytes = p.panel_type == PanelType::int8 ? static_cast<int8_t*>(p.scratch) : nullptr;
  for (int32_t m = row_begin; m < row_end; m++) {
    const float* a = f32(p.a) + int64_t(m) * row_stride(p.depth);
    const float scale = bytes != nullptr ? quantise(a, p.depth, bytes, 4) : 0.0f;
    for (int32_t panel = panel_begin; panel < panel_end; panel++) {
      float sums[width];
      panel_sums(p, a, bytes, scale, panel, sums);
      const int64_t at = int64_t(m) * row_stride(p.columns) + int64_t(panel) * given;
      for (int32_t n = 0; n < given; n++) {
        const float activated = activate(p.epilogue, sums[n]);
        if (is_gated(p.epilogue)) f32(p.out)[at + n] = activated * sums[n + given];
        else if (p.epilogue == Epilogue::store_f32) p.sums[at + n] = sums[n];
        else if (p.epilogue == Epilogue::add_f32) p.sums[at + n] += sums[n];
        else f32(p.out)[at + n] = activated;
      }
    }
  }
}

void norm(const Norm& p, int32_t row_begin, int32_t row_end) {
  for (int32_t m = row_begin; m < row_end; m++) {
    const int64_t at = int64_t(m) * row_stride(p.columns);
    const float* in = p.in + at;
    float sum = 0;
    for (int32_t c = 0; c < p.columns; c++) sum += in[c];
    const float mean = p.kind == NormKind::layer ? sum / float(p.columns) : 0.0f;
    float squares = 0;
    for (int32_t c = 0; c < p.columns; c++) squares += (in[c] - mean) * (in[c] - mean);
    const float scale = 1.0f / std::sqrt(squares / float(p.columns) + p.epsilon);
    for (int32_t c = 0; c < p.columns; c++) {
      float y = (in[c] - mean) * scale * p.weight[c] + (p.bias == nullptr ? 0.0f : p.bias[c]);
      if (p.add) y += p.out[at + c];
      if (p.out != nullptr) p.out[at + c] = y;
      if (p.activation != nullptr) f32(p.activation)[at + c] = y;
    }
  }
}

void convert(const float* in, void* activation, int32_t columns, int32_t row_begin, int32_t row_end) {
  const int64_t stride = row_stride(columns);
  std::memcpy(f32(activation) + row_begin * stride, in + row_begin * stride,
              size_t(row_end - row_begin) * size_t(stride) * sizeof(float));
}

void rotate(float* head, const HeadPass& p, int32_t position) {
  const int32_t half = p.rotated / 2;
  const float* cosines = p.rotations + int64_t(position) * p.rotated;
  const float* sines = cosines + half;
  for (int32_t i = 0; i < half; i++) {
    float& x = p.rotation == Rotation::halves ? head[i] : head[2 * i];
    float& y = p.rotation == Rotation::halves ? head[i + half] : head[2 * i + 1];
    const float rotated_x = x * cosines[i] - y * sines[i];
    y = y * cosines[i] + x * sines[i];
    x = rotated_x;
  }
}

void heads(const HeadPass& p, int32_t row_begin, int32_t row_end) {
  for (int32_t m = row_begin; m < row_end; m++) {
    for (int32_t h = 0; h < p.heads; h++) {
      float* head = f32(p.activation) + int64_t(m) * row_stride(p.columns) + p.first_column + h * p.head_size;
      if (p.norm_weight != nullptr) {
        float squares = 0;
        for (int32_t i = 0; i < p.head_size; i++) squares += head[i] * head[i];
        const float scale = 1.0f / std::sqrt(squares / float(p.head_size) + p.epsilon);
        for (int32_t i = 0; i < p.head_size; i++) head[i] = head[i] * scale * p.norm_weight[i];
      }
      if (p.rotation != Rotation::none) rotate(head, p, p.positions[m]);
    }
  }
}

bool sees(const Attention& p, int32_t query, int32_t key) {
  switch (p.span) {
    case Span::causal: return key <= query;
    case Span::window: return key - query <= p.window && query - key <= p.window;
    default: return true;
  }
}

void attend(const Attention& p, int32_t head, int32_t kv_head, int32_t query) {
  const int64_t stride = row_stride((p.heads + 2 * p.kv_heads) * p.head_size);
  const float* rows = f32(p.qkv) + p.first_row * stride;
  const float* q = rows + query * stride + head * p.head_size;
  const float* k = rows + (p.heads + kv_head) * p.head_size;
  const float* v = k + p.kv_heads * p.head_size;
  float* out = f32(p.out) + int64_t(p.out_row + query) * row_stride(p.heads * p.head_size) + head * p.head_size;
  float* scores = f32(p.scratch);
  float highest = -INFINITY;
  for (int32_t key = 0; key < p.count; key++) {
    if (!sees(p, query, key)) continue;
    float sum = 0;
    for (int32_t i = 0; i < p.head_size; i++) sum += q[i] * k[key * stride + i];
    scores[key] = sum * p.scale;
    if (p.slopes != nullptr) scores[key] -= p.slopes[head] * float(key > query ? key - query : query - key);
    highest = scores[key] > highest ? scores[key] : highest;
  }
  for (int32_t i = 0; i < p.head_size; i++) out[i] = 0;
  float total = 0;
  for (int32_t key = 0; key < p.count; key++) {
    if (!sees(p, query, key)) continue;
    const float weight = std::exp(scores[key] - highest);
    total += weight;
    for (int32_t i = 0; i < p.head_size; i++) out[i] += weight * v[key * stride + i];
  }
  for (int32_t i = 0; i < p.head_size; i++) out[i] /= total;
}

void attention(const Attention& p, int32_t kv_head, int32_t query_begin, int32_t query_end) {
  const int32_t group = p.heads / p.kv_heads;
  for (int32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
    for (int32_t query = query_begin; query < query_end; query++) attend(p, head, kv_head, query);
  }
}

void mean(const float* matrix, int32_t columns, int32_t row_begin, int32_t row_end, float* out) {
  for (int32_t c = 0; c < columns; c++) out[c] = 0;
  for (int32_t m = row_begin; m < row_end; m++) {
    const float* row = matrix + int64_t(m) * row_stride(columns);
    for (int32_t c = 0; c < columns; c++) out[c] += row[c];
  }
  for (int32_t c = 0; c < columns; c++) out[c] /= float(row_end - row_begin);
}

uint64_t product_scratch(PanelType type, int32_t depth) { return type == PanelType::int8 ? uint64_t(depth) : 0; }
uint64_t attention_scratch(int32_t, int32_t count) { return uint64_t(count) * sizeof(float); }

}  // namespace

const Kernels scalar_kernels = {
    Isa::scalar, "scalar", Layout::f32_rows, width, true, nullptr, nullptr, pack, pack_f16, pack_int8, widen_f16,
    product, norm, convert, heads, attention, mean, product_scratch, attention_scratch,
};

}  // namespace inlay::kernels
