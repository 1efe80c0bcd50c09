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
  for (Isa isa : {Isa::neon, Isa::neon_dotprod, Isa::avx2, Isa::avx512, Isa::avx512_vnni}) {
    if (const Kernels* table = find(isa)) found.push_back(table);
  }
  return found;
}

const Kernels& scalar() { return *find(Isa::scalar); }

std::vector<const Kernels*> all_tables() {
  std::vector<const Kernels*> found = tables();
  found.push_back(&scalar());
  return found;
}

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
      } else if (type == PanelType::int8) {
        k.pack_int8(rows.data(), depth, depth, to);
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
    if (type == PanelType::int8) quantisable();
    for (float& b : bias) b = random.number();
  }

  // Values that bytes hold exactly, whatever range a table quantises weights to: rows of whole numbers up to 127 times a
  // scale, and columns of -w, 0 and w.
  void quantisable() {
    for (int32_t r = 0; r < rows; r++) {
      const float scale = random.number() / 127;
      for (int32_t k = 0; k < depth; k++) a.at(r, k) = scale * float(random.whole(-127, 127));
      a.at(r, random.whole(0, depth - 1)) = scale * 127;
    }
    for (size_t row = 0; row < weights.size(); row += size_t(depth)) {
      const float weight = random.number(1.0f / std::sqrt(float(depth)));
      for (int32_t k = 0; k < depth; k++) weights[row + size_t(k)] = weight * float(random.whole(-1, 1));
    }
  }

  // In the given pieces of rows and panels.
  void run(const Kernels& k, PanelType type, Matrix& result, int32_t row_step, int32_t panel_step) {
    const bool gated = is_gated(epilogue);
    Packed packed(k, type, weights, columns, depth, gated);
    Buffer panel_bias(packed.panels * k.panel_columns);
    interleave(k, bias, columns, gated, panel_bias);
    Buffer scratch(int64_t(k.product_scratch(type, depth) / 4) + 1);
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

TEST_CASE("products agree with the scalar ones of floats over odd shapes, and do not depend on how they are cut") {
  for (const Kernels* k : all_tables()) {
    Random shapes(7);
    for (uint32_t i = 0; i < 240; i++) {
      const Epilogue epilogue = epilogues[i % 8];
      const PanelType types[] = {PanelType::f16, PanelType::int8, PanelType::native};
      const PanelType type = types[i % 3];
      const int32_t depth = shapes.whole(1, i % 10 == 9 ? 2000 : 200), rows = shapes.whole(1, i % 20 == 9 ? 300 : 50);
      ProductCase test(i, rows, depth, shapes.whole(1, 130), epilogue, type);
      CAPTURE(k->name);
      CAPTURE(i);
      Matrix whole(test.rows, test.columns), cut(test.rows, test.columns), reference(test.rows, test.columns);
      test.run(scalar(), PanelType::native, reference, test.rows, 1000);
      test.run(*k, type, whole, test.rows, 1000);
      test.run(*k, type, cut, shapes.whole(1, 20), shapes.whole(1, 3));
      CHECK(difference(whole, reference) < 4e-5);
      CHECK(same_bits(whole, cut));
    }
  }
}

TEST_CASE("products of bytes are as near as half a step of each value lets them be") {
  for (const Kernels* k : all_tables()) {
    Random shapes(9);
    for (uint32_t i = 0; i < 40; i++) {
      const int32_t depth = shapes.whole(1, 900);
      ProductCase test(i, shapes.whole(1, 40), depth, shapes.whole(1, 70), Epilogue::store_f32, PanelType::native);
      Matrix bytes(test.rows, test.columns), floats(test.rows, test.columns);
      test.run(*k, PanelType::int8, bytes, test.rows, 1000);
      test.run(scalar(), PanelType::native, floats, test.rows, 1000);
      CAPTURE(k->name);
      double worst = 0;  // of the error over its bound
      for (int32_t r = 0; r < test.rows; r++) {
        for (int32_t c = 0; c < test.columns; c++) {
          const float* w = &test.weights[size_t(c) * size_t(depth)];
          double a_top = 0, w_top = 0, a_sum = 0, w_sum = 0;
          for (int32_t d = 0; d < depth; d++) {
            const double a = std::fabs(double(test.a.at(r, d))), weight = std::fabs(double(w[d]));
            a_top = std::fmax(a_top, a);
            w_top = std::fmax(w_top, weight);
            a_sum += a;
            w_sum += weight;
          }
          const double a_half = a_top / 127 / 2, w_half = w_top / 63 / 2;
          const double bound = a_sum * w_half + w_sum * a_half + depth * a_half * w_half + 1e-5;
          worst = std::fmax(worst, std::fabs(double(bytes.at(r, c)) - floats.at(r, c)) / bound);
        }
      }
      CHECK(worst <= 1);
    }
  }
}

TEST_CASE("a value that is not finite shows in every sum of bytes of its row, and in no other") {
  for (const Kernels* k : all_tables()) {
    ProductCase test(3, 9, 70, 40, Epilogue::store_f32, PanelType::native);
    test.a.at(2, 41) = NAN;
    test.a.at(5, 0) = INFINITY;
    test.a.at(7, 69) = -INFINITY;
    for (int32_t c = 0; c < 70; c++) test.a.at(8, c) = c == 13 ? NAN : 0;
    Matrix out(9, 40);
    test.run(*k, PanelType::int8, out, 9, 1000);
    CAPTURE(k->name);
    for (int32_t r = 0; r < 9; r++) {
      for (int32_t c = 0; c < 40; c++) CHECK(std::isfinite(out.at(r, c)) == (r != 2 && r != 5 && r != 7 && r != 8));
    }
  }
}

TEST_CASE("sums of bytes hold the deepest product of the largest values, and zeros stay zeros") {
  for (const Kernels* k : all_tables()) {
    const int32_t depth = largest_int8_depth;
    Matrix a(4, depth), out(4, 3);
    std::vector<float> weights(size_t(depth) * 3, 2.0f);
    for (int32_t d = 0; d < depth; d++) {
      a.at(0, d) = 0.5f;
      a.at(1, d) = -0.5f;
      a.at(2, d) = d % 2 == 0 ? 0.5f : -0.5f;
      a.at(3, d) = 0;
      weights[size_t(depth) + size_t(d)] = -2;
      weights[2 * size_t(depth) + size_t(d)] = 0;
    }
    Packed packed(*k, PanelType::int8, weights, 3, depth, false);
    Buffer scratch(int64_t(k->product_scratch(PanelType::int8, depth) / 4) + 1);
    const Product p = {a.start, packed.packed.start, PanelType::int8, nullptr, depth, 3, Epilogue::store_f32,
                       nullptr, out.start, scratch.start};
    k->product(p, 0, 4, 0, packed.panels);
    CAPTURE(k->name);
    const double n = depth;
    const double expected[4][3] = {{n, -n, 0}, {-n, n, 0}, {0, 0, 0}, {0, 0, 0}};
    for (int32_t r = 0; r < 4; r++) {
      for (int32_t c = 0; c < 3; c++) CHECK(std::fabs(out.at(r, c) - expected[r][c]) <= 1e-6 * n);
    }
    CHECK(scratch.intact());
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
      Buffer scratch(int64_t(k->product_scratch(PanelType::native, 2) / 4) + 1);
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
  const Kernels* table = select(Precision::f32, &reason);
  REQUIRE(table != nullptr);
  CHECK(table->layout == Layout::f32_rows);
  for (const Kernels* k : all_tables()) {
    setenv("INLAY_ISA", k->name, 1);
    const Isa for_floats = is_for_bytes(k->isa) ? Isa(int32_t(k->isa) - 1) : k->isa;
    CHECK(select(Precision::f32, &reason) == find(for_floats));
    CHECK(select(Precision::int8, &reason) == k);
    CHECK(select(Precision::bf16, &reason) == nullptr);
  }
  setenv("INLAY_ISA", "mmx", 1);
  CHECK(select(Precision::f32, &reason) == nullptr);
  CHECK(std::string(reason).find("names no instruction set") != std::string::npos);
  unsetenv("INLAY_ISA");
}
