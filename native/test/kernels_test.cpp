#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/kernels.h"

using namespace inlay::kernels;

namespace {

// Every table of f32 rows that this machine runs, against the scalar one.
std::vector<const Kernels*> tables() {
  std::vector<const Kernels*> found;
  for (Isa isa : {Isa::neon, Isa::avx2, Isa::avx512}) {
    if (const Kernels* table = find(isa)) found.push_back(table);
  }
  return found;
}

const Kernels& scalar() { return *find(Isa::scalar); }

struct Random {
  std::mt19937 bits;
  explicit Random(uint32_t seed) : bits(seed) {}
  float number(float scale = 1) { return std::normal_distribution<float>(0, scale)(bits); }
  int32_t whole(int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(bits); }
};

// Floats on a cache line, with guard values behind them that no kernel may touch.
struct Buffer {
  explicit Buffer(int64_t count, float fill = 0) : count(count), values(size_t(count) + 64, fill) {
    const auto address = reinterpret_cast<uintptr_t>(values.data());
    start = values.data() + (64 - address % 64) % 64 / sizeof(float);
    for (int64_t i = 0; i < 16; i++) start[count + i] = guard;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  bool intact() const {
    for (int64_t i = 0; i < 16; i++) {
      if (start[count + i] != guard) return false;
    }
    return true;
  }
  float& operator[](int64_t i) { return start[i]; }
  static constexpr float guard = 12345.0f;
  int64_t count;
  std::vector<float> values;
  float* start;
};

struct Matrix : Buffer {
  Matrix(int32_t rows, int32_t columns)
      : Buffer(int64_t(rows) * row_stride(columns)), rows(rows), columns(columns) {}
  float& at(int32_t r, int32_t c) { return start[int64_t(r) * row_stride(columns) + c]; }
  void fill(Random& random, float scale = 1) {
    for (int32_t r = 0; r < rows; r++) {
      for (int32_t c = 0; c < columns; c++) at(r, c) = random.number(scale);
    }
  }
  void copy(Matrix& other) { std::memcpy(start, other.start, size_t(count) * sizeof(float)); }
  int32_t rows, columns;
};

double difference(Matrix& a, Matrix& b) {
  double worst = 0;
  for (int32_t r = 0; r < a.rows; r++) {
    for (int32_t c = 0; c < a.columns; c++) worst = std::fmax(worst, std::fabs(double(a.at(r, c)) - b.at(r, c)));
    for (int32_t c = a.columns; c < padded_columns(a.columns); c++) {
      CHECK(a.at(r, c) == 0);
      CHECK(b.at(r, c) == 0);
    }
  }
  CHECK(a.intact());
  CHECK(b.intact());
  return worst;
}

bool same_bits(Matrix& a, Matrix& b) {
  return std::memcmp(a.start, b.start, size_t(a.count) * sizeof(float)) == 0;
}

uint16_t half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const int32_t exponent = int32_t(bits >> 23 & 0xff) - 112;
  if (exponent <= 0) return uint16_t(bits >> 16 & 0x8000);
  return uint16_t((bits >> 16 & 0x8000) | uint32_t(exponent) << 10 | (bits >> 13 & 0x3ff));
}

// The weights of a product, packed for one table.
struct Packed {
  Packed(const Kernels& k, PanelType type, const std::vector<float>& weights, int32_t columns, int32_t depth,
         bool gated)
      : panels(panel_count(k, columns, gated)),
        packed(int64_t(panels) * int64_t(panel_bytes(k, type, depth)) / 4 + 16) {
    std::vector<float> rows(size_t(k.panel_columns) * size_t(depth));
    std::vector<uint16_t> halves(rows.size());
    const int32_t given = gated ? k.panel_columns / 2 : k.panel_columns;
    for (int32_t panel = 0; panel < panels; panel++) {
      std::fill(rows.begin(), rows.end(), 0.0f);
      for (int32_t n = 0; n < k.panel_columns; n++) {
        const int32_t column = panel * given + n % given;
        if (column >= columns) continue;
        const int32_t row = n < given ? column : columns + column;
        std::memcpy(&rows[size_t(n) * size_t(depth)], &weights[size_t(row) * size_t(depth)], size_t(depth) * 4);
      }
      char* to = reinterpret_cast<char*>(packed.start) + panel * int64_t(panel_bytes(k, type, depth));
      if (type == PanelType::native) {
        k.pack(rows.data(), depth, depth, to);
      } else {
        for (size_t i = 0; i < rows.size(); i++) halves[i] = half(rows[i]);
        k.pack_f16(halves.data(), depth, depth, to);
      }
    }
  }
  int32_t panels;
  Buffer packed;
};

// A bias in the order of the panels' columns.
void interleave(const Kernels& k, const std::vector<float>& bias, int32_t columns, bool gated, Buffer& out) {
  const int32_t given = gated ? k.panel_columns / 2 : k.panel_columns;
  for (int32_t i = 0; i < panel_count(k, columns, gated) * k.panel_columns; i++) {
    const int32_t column = i / k.panel_columns * given + i % given;
    if (column < columns) out[i] = bias[size_t(i % k.panel_columns < given ? column : columns + column)];
  }
}

constexpr Epilogue epilogues[] = {
    Epilogue::store,     Epilogue::store_f32,  Epilogue::add_f32,        Epilogue::gelu_erf,
    Epilogue::gelu_tanh, Epilogue::gated_silu, Epilogue::gated_gelu_erf, Epilogue::gated_gelu_tanh,
};

struct ProductCase {
  ProductCase(uint32_t seed, int32_t rows, int32_t depth, int32_t columns, Epilogue epilogue, PanelType type)
      : random(seed), rows(rows), depth(depth), columns(columns), epilogue(epilogue), type(type), a(rows, depth),
        weights(size_t(depth) * size_t(columns) * 2), bias(size_t(columns) * 2), before(rows, columns) {
    a.fill(random);
    before.fill(random);
    for (float& w : weights) w = random.number(1.0f / std::sqrt(float(depth)));
    if (type == PanelType::f16) {
      for (float& w : weights) w = std::ldexp(std::round(std::ldexp(w, 8)), -8);
    }
    for (float& b : bias) b = random.number();
  }

  // In the given pieces of rows and panels.
  void run(const Kernels& k, Matrix& result, int32_t row_step, int32_t panel_step) {
    const bool gated = is_gated(epilogue);
    Packed packed(k, type, weights, columns, depth, gated);
    Buffer panel_bias(packed.panels * k.panel_columns);
    interleave(k, bias, columns, gated, panel_bias);
    Buffer scratch(int64_t(k.product_scratch(depth) / 4) + 1);
    if (epilogue == Epilogue::add_f32) result.copy(before);
    const Product p = {a.start, packed.packed.start, type, panel_bias.start, depth, columns, epilogue,
                       result.start, result.start, scratch.start};
    for (int32_t row = 0; row < rows; row += row_step) {
      for (int32_t panel = 0; panel < packed.panels; panel += panel_step) {
        k.product(p, row, std::min(rows, row + row_step), panel, std::min(packed.panels, panel + panel_step));
      }
    }
    CHECK(scratch.intact());
  }

  Random random;
  int32_t rows, depth, columns;
  Epilogue epilogue;
  PanelType type;
  Matrix a;
  std::vector<float> weights, bias;
  Matrix before;
};

}  // namespace

TEST_CASE("products agree with the scalar ones over odd shapes, and do not depend on how they are cut") {
  for (const Kernels* k : tables()) {
    Random shapes(7);
    for (uint32_t i = 0; i < 160; i++) {
      const Epilogue epilogue = epilogues[i % 8];
      const PanelType type = k->f16_panels && i % 3 == 0 ? PanelType::f16 : PanelType::native;
      const int32_t depth = shapes.whole(1, i % 10 == 9 ? 2000 : 200), rows = shapes.whole(1, i % 20 == 9 ? 300 : 50);
      ProductCase test(i, rows, depth, shapes.whole(1, 130), epilogue, type);
      CAPTURE(k->name);
      CAPTURE(i);
      Matrix whole(test.rows, test.columns), cut(test.rows, test.columns), reference(test.rows, test.columns);
      test.run(scalar(), reference, test.rows, 1000);
      test.run(*k, whole, test.rows, 1000);
      test.run(*k, cut, shapes.whole(1, 20), shapes.whole(1, 3));
      CHECK(difference(whole, reference) < 4e-5);
      CHECK(same_bits(whole, cut));
    }
  }
}

TEST_CASE("the activations are right over the whole range of their argument") {
  for (const Kernels* k : tables()) {
    for (Epilogue epilogue : {Epilogue::gelu_erf, Epilogue::gelu_tanh, Epilogue::gated_silu}) {
      // A product of depth 1 with weight 1: out = f(a). For the gate, u = 1 comes from a second column of `a`.
      const int32_t rows = 4001;
      Matrix a(rows, 2), out(rows, 1);
      for (int32_t r = 0; r < rows; r++) {
        a.at(r, 0) = float(r - 2000) * 0.05f;
        a.at(r, 1) = 1;
      }
      Packed packed(*k, PanelType::native, {1, 0, 0, 1}, 1, 2, is_gated(epilogue));
      Buffer scratch(int64_t(k->product_scratch(2) / 4) + 1);
      const Product p = {a.start, packed.packed.start, PanelType::native, nullptr, 2, 1, epilogue,
                         out.start, nullptr, scratch.start};
      k->product(p, 0, rows, 0, 1);
      for (int32_t r = 0; r < rows; r++) {
        const double x = a.at(r, 0);
        const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
        const double expected = epilogue == Epilogue::gelu_erf    ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                                : epilogue == Epilogue::gelu_tanh ? 0.5 * x * (1 + std::tanh(u))
                                                                  : x / (1 + std::exp(-x));
        CAPTURE(k->name);
        CAPTURE(x);
        CHECK(std::fabs(out.at(r, 0) - expected) <= 3e-7 * std::fmax(1.0, std::fabs(x)));
      }
    }
  }
}

TEST_CASE("norms agree with the scalar ones") {
  for (const Kernels* k : tables()) {
    Random random(3);
    for (int32_t i = 0; i < 80; i++) {
      const int32_t rows = random.whole(1, 9), columns = random.whole(1, 300);
      Matrix in(rows, columns), out(rows, columns), activation(rows, columns);
      Matrix expected_out(rows, columns), expected_activation(rows, columns);
      in.fill(random, 3);
      out.fill(random);
      expected_out.copy(out);
      Buffer weight(padded_columns(columns)), bias(padded_columns(columns));
      for (int32_t c = 0; c < columns; c++) {
        weight[c] = random.number();
        bias[c] = random.number();
      }
      Norm p = {i % 2 == 0 ? NormKind::layer : NormKind::rms, in.start, out.start, i % 3 == 0, activation.start,
                weight.start, i % 5 < 2 ? bias.start : nullptr, 1e-5f, columns};
      k->norm(p, 0, rows);
      p.out = expected_out.start;
      p.activation = expected_activation.start;
      scalar().norm(p, 0, rows);
      CAPTURE(k->name);
      CAPTURE(columns);
      CHECK(difference(out, expected_out) < 3e-5);
      CHECK(difference(activation, expected_activation) < 3e-5);
    }
  }
}

TEST_CASE("head norms and rotations agree with the scalar ones and touch nothing else") {
  for (const Kernels* k : tables()) {
    Random random(4);
    for (int32_t i = 0; i < 120; i++) {
      const int32_t rows = random.whole(1, 5), heads = random.whole(1, 4), size = random.whole(1, 60) * 2;
      const int32_t first = random.whole(0, 30), columns = first + heads * size + random.whole(0, 30);
      const int32_t rotated = i % 4 == 0 ? size : random.whole(1, size / 2) * 2;
      Matrix mine(rows, columns), expected(rows, columns);
      mine.fill(random);
      expected.copy(mine);
      Buffer weight(padded_columns(size)), rotations(int64_t(rows) * rotated);
      for (int32_t c = 0; c < size; c++) weight[c] = random.number();
      std::vector<int32_t> positions;
      for (int32_t r = 0; r < rows; r++) {
        positions.push_back(rows - 1 - r);
        for (int32_t c = 0; c < rotated / 2; c++) {
          const float angle = random.number();
          rotations[int64_t(r) * rotated + c] = std::cos(angle);
          rotations[int64_t(r) * rotated + rotated / 2 + c] = std::sin(angle);
        }
      }
      HeadPass p = {mine.start, columns, first, heads, size, i % 2 == 0 ? weight.start : nullptr, 1e-6f,
                    Rotation(i % 3), rotated, rotations.start, positions.data()};
      k->heads(p, 0, rows);
      p.activation = expected.start;
      scalar().heads(p, 0, rows);
      CAPTURE(k->name);
      CHECK(difference(mine, expected) < 3e-5);
    }
  }
}

TEST_CASE("attention agrees with the scalar one and does not depend on how queries are cut or where rows lie") {
  for (const Kernels* k : tables()) {
    Random random(5);
    for (int32_t i = 0; i < 150; i++) {
      const int32_t kv_heads = random.whole(1, 2), heads = kv_heads * random.whole(1, 3);
      const int32_t size = i % 25 == 0 ? 256 : i % 5 == 0 ? 64 : random.whole(1, 100);
      const int32_t count = i % 7 == 0 ? 300 : random.whole(1, 90);
      const int32_t before = random.whole(0, 20), width = (heads + 2 * kv_heads) * size;
      Matrix qkv(before + count, width), alone(count, width), slopes(1, heads);
      qkv.fill(random);
      slopes.fill(random, 0.1f);
      for (int32_t r = 0; r < count; r++) std::memcpy(&alone.at(r, 0), &qkv.at(before + r, 0), size_t(width) * 4);
      Matrix out(count, heads * size), cut(count, heads * size), expected(count, heads * size);
      Buffer scratch(int64_t(k->attention_scratch(size, count) / 4)), more(count);
      Attention p = {qkv.start, before, count, heads, kv_heads, size, 1.0f / std::sqrt(float(size)), Span(i % 3),
                     random.whole(0, 40), i % 2 == 0 ? slopes.start : nullptr, out.start, 0, scratch.start};
      for (int32_t h = 0; h < kv_heads; h++) k->attention(p, h, 0, count);
      p.out = expected.start;
      p.scratch = more.start;
      for (int32_t h = 0; h < kv_heads; h++) scalar().attention(p, h, 0, count);
      p.qkv = alone.start;
      p.first_row = 0;
      p.out = cut.start;
      p.scratch = scratch.start;
      const int32_t step = random.whole(1, 30);
      for (int32_t h = 0; h < kv_heads; h++) {
        for (int32_t q = 0; q < count; q += step) {
          // Each piece into its own place: row out_row + q.
          p.out_row = q == 0 ? 0 : -q;
          p.out = cut.start + int64_t(q) * row_stride(heads * size);
          k->attention(p, h, q, std::min(count, q + step));
        }
      }
      CAPTURE(k->name);
      CAPTURE(i);
      CHECK(difference(out, expected) < 2e-5);
      CHECK(same_bits(out, cut));
      CHECK(scratch.intact());
    }
  }
}

TEST_CASE("means and widened halves agree with the scalar ones") {
  for (const Kernels* k : tables()) {
    Random random(6);
    for (int32_t i = 0; i < 30; i++) {
      const int32_t rows = random.whole(1, 40), columns = random.whole(1, 100);
      Matrix in(rows, columns);
      in.fill(random);
      Buffer mine(columns), expected(columns);
      const int32_t begin = random.whole(0, rows - 1);
      k->mean(in.start, columns, begin, rows, mine.start);
      scalar().mean(in.start, columns, begin, rows, expected.start);
      CHECK(mine.intact());
      CHECK(std::memcmp(mine.start, expected.start, size_t(columns) * 4) == 0);
    }
    std::vector<uint16_t> halves(65536);
    for (size_t i = 0; i < halves.size(); i++) halves[i] = uint16_t(i);
    std::vector<float> mine(halves.size()), expected(halves.size());
    k->widen_f16(halves.data(), mine.data(), int64_t(halves.size()));
    scalar().widen_f16(halves.data(), expected.data(), int64_t(halves.size()));
    for (size_t i = 0; i < halves.size(); i++) {
      if (std::isnan(expected[i])) CHECK(std::isnan(mine[i]));
      else CHECK(mine[i] == expected[i]);
    }
  }
}

TEST_CASE("selecting a table") {
  const char* reason = nullptr;
  const Kernels* table = select(false, &reason);
  REQUIRE(table != nullptr);
  CHECK(table->layout == Layout::f32_rows);
  for (const Kernels* k : tables()) {
    setenv("INLAY_ISA", k->name, 1);
    CHECK(select(false, &reason) == k);
    CHECK(select(true, &reason) == nullptr);
  }
  setenv("INLAY_ISA", "mmx", 1);
  CHECK(select(false, &reason) == nullptr);
  CHECK(std::string(reason).find("names no instruction set") != std::string::npos);
  unsetenv("INLAY_ISA");
}
