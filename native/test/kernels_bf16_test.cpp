#include <doctest/doctest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"

// The tables of bf16 tiles against the scalar one, on inputs that bfloat16 holds exactly, so that what differs is the
// rounding of results. On a CPU without such instructions these tests run against their emulation alone.
using namespace inlay::kernels;

namespace {

std::vector<const Kernels*> tables() {
  std::vector<const Kernels*> found;
  for (Isa isa : {Isa::avx512_bf16, Isa::amx_bf16}) {
    if (const Kernels* table = find(isa)) found.push_back(table);
  }
  return found;
}

const Kernels& scalar() { return *find(Isa::scalar); }

struct Scope {
  explicit Scope(const Kernels* k) : k(k) {
    if (k->enter != nullptr) k->enter();
  }
  ~Scope() {
    if (k->leave != nullptr) k->leave();
  }
  const Kernels* k;
};

struct Random {
  std::mt19937 bits;
  explicit Random(uint32_t seed) : bits(seed) {}
  float number(float scale = 1) { return std::normal_distribution<float>(0, scale)(bits); }
  int32_t whole(int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(bits); }
};

uint16_t to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_bf16(uint16_t value) {
  const uint32_t bits = uint32_t(value) << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

float rounded(float value) { return from_bf16(to_bf16(value)); }

// Memory whose end (or, at_start, whose start) touches a page that ends the process when read or written.
class Guarded {
 public:
  explicit Guarded(uint64_t bytes, bool at_start = false) {
    const uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
    const uint64_t used = (bytes + 63) / 64 * 64, body = (used + page - 1) / page * page + page;
    mapped = body + page;
    start = static_cast<char*>(mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(start != MAP_FAILED);
    const uint64_t usable = body - page;
    if (usable > 0) REQUIRE(mprotect(start + page, usable, PROT_READ | PROT_WRITE) == 0);
    memory = at_start ? start + page : start + page + usable - used;
    bytes_used = used;
  }
  ~Guarded() { munmap(start, mapped); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  float* floats() const { return reinterpret_cast<float*>(memory); }
  char* memory;
  uint64_t bytes_used;

 private:
  char* start;
  uint64_t mapped;
};

struct Floats : Guarded {
  Floats(int32_t rows, int32_t columns, bool at_start = false)
      : Guarded(uint64_t(rows) * uint64_t(row_stride(columns)) * 4, at_start), rows(rows), columns(columns) {}
  float& at(int32_t r, int32_t c) { return floats()[int64_t(r) * row_stride(columns) + c]; }
  void fill(Random& random, float scale = 1) {
    for (int32_t r = 0; r < rows; r++) {
      for (int32_t c = 0; c < columns; c++) at(r, c) = rounded(random.number(scale));
    }
  }
  int32_t rows, columns;
};

struct Tiles : Guarded {
  Tiles(int32_t rows, int32_t columns, bool at_start = false)
      : Guarded(activation_bytes(Layout::bf16_tiles, rows, columns), at_start), rows(rows), columns(columns) {}
  uint16_t& at(int32_t r, int32_t c) {
    const int64_t tile = int64_t(r / 16) * (padded_columns(columns) / 32) + c / 32;
    return reinterpret_cast<uint16_t*>(memory)[tile * 512 + r % 16 * 32 + c % 32];
  }
  // Padding rows take values too, which no result may show.
  Tiles& operator=(Floats& other) {
    for (int32_t r = 0; r < (rows + 15) / 16 * 16; r++) {
      for (int32_t c = 0; c < columns; c++) at(r, c) = to_bf16(r < rows ? other.at(r, c) : float(7 * r - c));
    }
    return *this;
  }
  int32_t rows, columns;
};

// Largest |mine - expected| beyond 2^-8 of what is expected, which rounding alone may be off by.
double excess(Tiles& mine, Floats& expected) {
  double worst = 0;
  for (int32_t r = 0; r < mine.rows; r++) {
    for (int32_t c = 0; c < mine.columns; c++) {
      const double off = std::fabs(double(from_bf16(mine.at(r, c))) - expected.at(r, c));
      worst = std::fmax(worst, off - std::fabs(expected.at(r, c)) / 256);
    }
    for (int32_t c = mine.columns; c < padded_columns(mine.columns); c++) CHECK(mine.at(r, c) == 0);
  }
  return worst;
}

double difference(Floats& a, Floats& b) {
  double worst = 0;
  for (int32_t r = 0; r < a.rows; r++) {
    for (int32_t c = 0; c < a.columns; c++) worst = std::fmax(worst, std::fabs(double(a.at(r, c)) - b.at(r, c)));
    for (int32_t c = a.columns; c < padded_columns(a.columns); c++) CHECK(a.at(r, c) == 0);
  }
  return worst;
}

bool same_rows(Tiles& a, Tiles& b) {
  for (int32_t r = 0; r < a.rows; r++) {
    for (int32_t c = 0; c < padded_columns(a.columns); c++) {
      if (a.at(r, c) != b.at(r, c)) return false;
    }
  }
  return true;
}

bool same_rows(Floats& a, Floats& b) { return std::memcmp(a.memory, b.memory, a.bytes_used) == 0; }

// The weights of a product, packed for one table: rows of the first matrix and, where gated, of the second.
struct Packed {
  Packed(const Kernels& k, const std::vector<float>& weights, int32_t columns, int32_t depth, bool gated)
      : panels(panel_count(k, columns, gated)),
        memory(uint64_t(panels) * panel_bytes(k, PanelType::native, depth)) {
    std::vector<float> rows(size_t(k.panel_columns) * size_t(depth));
    const int32_t given = gated ? k.panel_columns / 2 : k.panel_columns;
    for (int32_t panel = 0; panel < panels; panel++) {
      std::fill(rows.begin(), rows.end(), 0.0f);
      for (int32_t n = 0; n < k.panel_columns; n++) {
        const int32_t column = panel * given + n % given;
        if (column >= columns) continue;
        const int32_t row = n < given ? column : columns + column;
        std::memcpy(&rows[size_t(n) * size_t(depth)], &weights[size_t(row) * size_t(depth)], size_t(depth) * 4);
      }
      k.pack(rows.data(), depth, depth, memory.memory + uint64_t(panel) * panel_bytes(k, PanelType::native, depth));
    }
  }
  int32_t panels;
  Guarded memory;
};

void interleave(const Kernels& k, const std::vector<float>& bias, int32_t columns, bool gated, float* out) {
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

bool into_floats(Epilogue epilogue) { return epilogue == Epilogue::store_f32 || epilogue == Epilogue::add_f32; }

struct ProductCase {
  ProductCase(uint32_t seed, int32_t rows, int32_t depth, int32_t columns, Epilogue epilogue)
      : random(seed), rows(rows), depth(depth), columns(columns), epilogue(epilogue), biased(seed % 4 != 1),
        at_start(seed % 2 == 1), a(rows, depth), weights(size_t(depth) * size_t(columns) * 2),
        bias(size_t(columns) * 2), before(rows, columns) {
    a.fill(random);
    before.fill(random);
    for (float& w : weights) w = rounded(random.number(1.0f / std::sqrt(float(depth))));
    for (float& b : bias) b = random.number();
  }

  void call(const Kernels& k, const void* input, void* out, float* sums, int32_t row_step, int32_t panel_step) {
    const bool gated = is_gated(epilogue);
    Packed packed(k, weights, columns, depth, gated);
    Guarded panel_bias(uint64_t(packed.panels * k.panel_columns) * 4);
    interleave(k, bias, columns, gated, panel_bias.floats());
    Guarded scratch(k.product_scratch(PanelType::native, depth));
    const Product p = {input, packed.memory.memory, PanelType::native, biased ? panel_bias.floats() : nullptr, depth,
                       columns, epilogue, out, sums, scratch.memory};
    const Scope scope(&k);
    for (int32_t row = 0; row < rows; row += row_step) {
      for (int32_t panel = 0; panel < packed.panels; panel += panel_step) {
        k.product(p, row, std::min(rows, row + row_step), panel, std::min(packed.panels, panel + panel_step));
      }
    }
  }

  void expect(Floats& result) {
    std::memcpy(result.memory, before.memory, before.bytes_used);
    call(scalar(), a.memory, result.memory, result.floats(), rows, 1000);
  }

  void run(const Kernels& k, Tiles& out, Floats& sums, int32_t row_step, int32_t panel_step) {
    Tiles input(rows, depth, at_start);
    input = a;
    std::memcpy(sums.memory, before.memory, before.bytes_used);
    call(k, input.memory, out.memory, sums.floats(), row_step, panel_step);
  }

  Random random;
  int32_t rows, depth, columns;
  Epilogue epilogue;
  bool biased, at_start;
  Floats a;
  std::vector<float> weights, bias;
  Floats before;
};

}  // namespace

TEST_CASE("panels lie as kernels.h says") {
  for (const Kernels* k : tables()) {
    CHECK(k->layout == Layout::bf16_tiles);
    CHECK(k->panel_columns == 32);
    const int32_t depth = 45;
    std::vector<float> rows(32 * size_t(depth));
    for (size_t i = 0; i < rows.size(); i++) rows[i] = float(i % 251) - 100;
    Guarded panel(panel_bytes(*k, PanelType::native, depth));
    std::memset(panel.memory, 0xff, panel.bytes_used);
    k->pack(rows.data(), depth, depth, panel.memory);
    const uint16_t* value = reinterpret_cast<const uint16_t*>(panel.memory);
    for (int32_t step = 0; step < 2; step++) {
      for (int32_t half = 0; half < 2; half++) {
        for (int32_t pair = 0; pair < 16; pair++) {
          for (int32_t column = 0; column < 16; column++) {
            for (int32_t i = 0; i < 2; i++, value++) {
              const int32_t d = step * 32 + 2 * pair + i;
              CHECK(from_bf16(*value) == (d < depth ? rows[size_t((half * 16 + column) * depth + d)] : 0));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("products of bf16 tiles agree with the scalar ones over odd shapes, and do not depend on how they are cut") {
  for (const Kernels* k : tables()) {
    Random shapes(7);
    for (uint32_t i = 0; i < 160; i++) {
      const int32_t rows = shapes.whole(1, 100), depth = shapes.whole(1, 300), columns = shapes.whole(1, 200);
      ProductCase test(i, rows, depth, columns, epilogues[i % 8]);
      CAPTURE(k->name);
      CAPTURE(i);
      Floats expected(rows, columns), sums(rows, columns, test.at_start), cut_sums(rows, columns);
      Tiles out(rows, columns, test.at_start), cut(rows, columns);
      test.expect(expected);
      test.run(*k, out, sums, rows, 1000);
      test.run(*k, cut, cut_sums, 16 * shapes.whole(1, 5), shapes.whole(1, 5));
      if (into_floats(test.epilogue)) {
        CHECK(difference(sums, expected) < 2e-5);
        CHECK(same_rows(sums, cut_sums));
      } else {
        CHECK(excess(out, expected) < 2e-4);
        CHECK(same_rows(out, cut));
      }
    }
  }
}

TEST_CASE("a row's results depend on that row alone") {
  for (const Kernels* k : tables()) {
    Random random(11);
    for (uint32_t i = 0; i < 40; i++) {
      const int32_t rows = random.whole(20, 80), depth = random.whole(1, 200), columns = random.whole(1, 100);
      const int32_t chosen = random.whole(0, rows - 1), place = random.whole(0, rows - 1);
      ProductCase together(i, rows, depth, columns, epilogues[i % 8]);
      // The same weights; one row among others and in another place.
      ProductCase apart(i, rows, depth, columns, epilogues[i % 8]);
      apart.rows = place + 1;
      apart.a.fill(random, 3);
      std::memcpy(&apart.a.at(place, 0), &together.a.at(chosen, 0), size_t(depth) * 4);
      std::memcpy(&apart.before.at(place, 0), &together.before.at(chosen, 0), size_t(columns) * 4);
      CAPTURE(k->name);
      CAPTURE(i);
      Floats sums(rows, columns), moved_sums(rows, columns);
      Tiles out(rows, columns), moved(rows, columns);
      together.run(*k, out, sums, rows, 1000);
      apart.run(*k, moved, moved_sums, rows, 1000);
      if (into_floats(together.epilogue)) {
        CHECK(std::memcmp(&sums.at(chosen, 0), &moved_sums.at(place, 0), size_t(columns) * 4) == 0);
      } else {
        for (int32_t c = 0; c < columns; c++) CHECK(out.at(chosen, c) == moved.at(place, c));
      }
    }
  }
}

TEST_CASE("the activations for bfloat16 are right over the whole range of their argument") {
  for (const Kernels* k : tables()) {
    for (Epilogue epilogue : {Epilogue::gelu_erf, Epilogue::gelu_tanh, Epilogue::gated_silu}) {
      // out = f(a): a product of depth 2 whose first weight is 1; for the gate, u = 1 comes from a second column.
      const int32_t rows = 4001;
      Floats a(rows, 2);
      for (int32_t r = 0; r < rows; r++) {
        a.at(r, 0) = rounded(float(r - 2000) * 0.05f);
        a.at(r, 1) = 1;
      }
      Tiles input(rows, 2), out(rows, 1);
      input = a;
      Packed packed(*k, {1, 0, 0, 1}, 1, 2, is_gated(epilogue));
      Guarded scratch(k->product_scratch(PanelType::native, 2));
      const Product p = {input.memory, packed.memory.memory, PanelType::native, nullptr, 2, 1, epilogue,
                         out.memory, nullptr, scratch.memory};
      const Scope scope(k);
      k->product(p, 0, rows, 0, 1);
      for (int32_t r = 0; r < rows; r++) {
        const double x = a.at(r, 0);
        const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
        const double expected = epilogue == Epilogue::gelu_erf    ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                                : epilogue == Epilogue::gelu_tanh ? 0.5 * x * (1 + std::tanh(u))
                                                                  : x / (1 + std::exp(-x));
        CAPTURE(k->name);
        CAPTURE(x);
        // bf16_math.h's bounds, and half a unit in the last place of bfloat16. A SiLU below 1e-36 may be zero or not.
        const double bound = epilogue == Epilogue::gated_silu ? 1.5e-4 * std::fabs(expected) + 1e-36 : 5e-5;
        CHECK(std::fabs(from_bf16(out.at(r, 0)) - expected) <= bound + std::fabs(expected) / 255);
      }
    }
  }
}

TEST_CASE("norms and conversions write what the scalar ones do, rounded to nearest even") {
  for (const Kernels* k : tables()) {
    Random random(3);
    for (int32_t i = 0; i < 80; i++) {
      const int32_t rows = random.whole(1, 40), columns = random.whole(1, 300);
      Floats in(rows, columns, i % 2 == 0), out(rows, columns), expected_out(rows, columns), expected(rows, columns);
      Tiles activation(rows, columns, i % 2 == 1), converted(rows, columns);
      for (int32_t r = 0; r < rows; r++) {
        for (int32_t c = 0; c < columns; c++) in.at(r, c) = random.number(3);
      }
      out.fill(random);
      std::memcpy(expected_out.memory, out.memory, out.bytes_used);
      Guarded weight(uint64_t(padded_columns(columns)) * 4), bias(uint64_t(padded_columns(columns)) * 4);
      for (int32_t c = 0; c < columns; c++) {
        weight.floats()[c] = random.number();
        bias.floats()[c] = random.number();
      }
      Norm p = {i % 2 == 0 ? NormKind::layer : NormKind::rms, in.floats(), i % 4 == 3 ? nullptr : out.floats(),
                i % 3 == 0 && i % 4 != 3, activation.memory, weight.floats(), i % 5 < 2 ? bias.floats() : nullptr,
                1e-5f, columns};
      const int32_t middle = random.whole(0, rows);
      k->norm(p, 0, middle);
      k->norm(p, middle, rows);
      if (p.out != nullptr) p.out = expected_out.floats();
      p.activation = expected.memory;
      scalar().norm(p, 0, rows);
      CAPTURE(k->name);
      CAPTURE(columns);
      CHECK(difference(out, expected_out) < 3e-5);
      CHECK(excess(activation, expected) < 2e-5);
      k->convert(in.floats(), converted.memory, columns, 0, rows);
      for (int32_t r = 0; r < rows; r++) {
        for (int32_t c = 0; c < columns; c++) CHECK(converted.at(r, c) == to_bf16(in.at(r, c)));
      }
    }
  }
}

TEST_CASE("head norms and rotations of bf16 tiles agree with the scalar ones and touch nothing else") {
  for (const Kernels* k : tables()) {
    Random random(4);
    for (int32_t i = 0; i < 120; i++) {
      const int32_t rows = random.whole(1, 20), heads = random.whole(1, 4);
      const int32_t size = i % 10 == 0 ? 256 : random.whole(1, 60) * 2;
      const int32_t first = random.whole(0, 70), columns = first + heads * size + random.whole(0, 30);
      const int32_t rotated = i % 4 == 0 ? size : random.whole(1, size / 2) * 2;
      Floats expected(rows, columns);
      Tiles mine(rows, columns);
      expected.fill(random);
      mine = expected;
      Guarded weight(uint64_t(padded_columns(size)) * 4), rotations(uint64_t(rows * rotated) * 4);
      for (int32_t c = 0; c < size; c++) weight.floats()[c] = random.number();
      std::vector<int32_t> positions;
      for (int32_t r = 0; r < rows; r++) {
        positions.push_back(rows - 1 - r);
        for (int32_t c = 0; c < rotated / 2; c++) {
          const float angle = random.number();
          rotations.floats()[r * rotated + c] = std::cos(angle);
          rotations.floats()[r * rotated + rotated / 2 + c] = std::sin(angle);
        }
      }
      HeadPass p = {mine.memory, columns, first, heads, size, i % 2 == 0 ? weight.floats() : nullptr, 1e-6f,
                    Rotation(i % 3), rotated, rotations.floats(), positions.data()};
      k->heads(p, 0, rows);
      p.activation = expected.memory;
      scalar().heads(p, 0, rows);
      CAPTURE(k->name);
      CAPTURE(i);
      CHECK(excess(mine, expected) < 1e-4);
      for (int32_t r = 0; r < rows; r++) {
        for (int32_t c = 0; c < columns; c++) {
          if (c < first || c >= first + heads * size) CHECK(from_bf16(mine.at(r, c)) == expected.at(r, c));
        }
      }
    }
  }
}

TEST_CASE("attention of bf16 tiles agrees with the scalar one and does not depend on cuts or on where rows lie") {
  for (const Kernels* k : tables()) {
    Random random(5);
    for (int32_t i = 0; i < 150; i++) {
      const int32_t kv_heads = random.whole(1, 2), heads = kv_heads * random.whole(1, 3);
      const int32_t sizes[] = {16, 32, 64, 80, 96, 128, 256};
      const int32_t size = i % 2 == 0 ? sizes[i / 2 % 7] : random.whole(1, 100);
      const int32_t count = i % 7 == 0 ? 300 : random.whole(1, 90);
      const int32_t before = random.whole(0, 40), width = (heads + 2 * kv_heads) * size;
      Floats qkv(before + count, width), alone(count, width), expected(count, heads * size);
      qkv.fill(random);
      for (int32_t r = 0; r < count; r++) std::memcpy(&alone.at(r, 0), &qkv.at(before + r, 0), size_t(width) * 4);
      Tiles input(before + count, width, i % 2 == 1), input_alone(count, width);
      input = qkv;
      input_alone = alone;
      std::vector<float> slopes;
      for (int32_t h = 0; h < heads; h++) slopes.push_back(0.1f * float(h + 1));
      Tiles out(count, heads * size, i % 2 == 1), cut(count, heads * size);
      // Scratch memory as another kernel may have left it.
      Guarded scratch(k->attention_scratch(size, count)), more(uint64_t(count) * 4);
      std::memset(scratch.memory, 0xff, scratch.bytes_used);
      Attention p = {input.memory, before, count, heads, kv_heads, size, 1.0f / std::sqrt(float(size)), Span(i % 3),
                     random.whole(0, 40), i % 4 < 2 ? slopes.data() : nullptr, out.memory, 0, scratch.memory};
      const Scope scope(k);
      for (int32_t h = 0; h < kv_heads; h++) k->attention(p, h, 0, count);
      p.qkv = input_alone.memory;
      p.first_row = 0;
      p.out = cut.memory;
      const int32_t step = random.whole(1, 50);
      for (int32_t h = 0; h < kv_heads; h++) {
        for (int32_t q = 0; q < count; q += step) k->attention(p, h, q, std::min(count, q + step));
      }
      p.qkv = alone.memory;
      p.out = expected.memory;
      p.scratch = more.memory;
      for (int32_t h = 0; h < kv_heads; h++) scalar().attention(p, h, 0, count);
      CAPTURE(k->name);
      CAPTURE(i);
      CAPTURE(size);
      CAPTURE(count);
      CHECK(excess(out, expected) < 0.012);  // weights are off by 2^-8 of themselves; values go up to about 5
      CHECK(same_rows(out, cut));
    }
  }
}

TEST_CASE("one query's result goes to the row that was asked for, and no other row changes") {
  for (const Kernels* k : tables()) {
    Random random(9);
    const int32_t count = 70, size = 24, heads = 2;
    Floats qkv(count, 3 * heads * size);
    qkv.fill(random);
    Tiles input(count, 3 * heads * size), all(count, heads * size), one(3, heads * size);
    input = qkv;
    Guarded scratch(k->attention_scratch(size, count));
    Attention p = {input.memory, 0, count, heads, heads, size, 0.2f, Span::full, 0, nullptr, all.memory, 0, scratch.memory};
    const Scope scope(k);
    for (int32_t h = 0; h < heads; h++) k->attention(p, h, 0, count);
    for (int32_t c = 0; c < heads * size; c++) one.at(0, c) = one.at(2, c) = 0x1234;
    p.out = one.memory;
    for (int32_t query : {0, 69}) {
      p.out_row = 1 - query;
      for (int32_t h = 0; h < heads; h++) k->attention(p, h, query, query + 1);
      for (int32_t c = 0; c < heads * size; c++) {
        CHECK(one.at(1, c) == all.at(query, c));
        CHECK(one.at(0, c) == 0x1234);
        CHECK(one.at(2, c) == 0x1234);
      }
    }
  }
}

TEST_CASE("means of the bf16 tables are the scalar one's") {
  for (const Kernels* k : tables()) {
    Random random(6);
    for (int32_t i = 0; i < 30; i++) {
      const int32_t rows = random.whole(1, 40), columns = random.whole(1, 100), begin = random.whole(0, rows - 1);
      Floats in(rows, columns);
      in.fill(random);
      Guarded mine(uint64_t(columns) * 4), expected(uint64_t(columns) * 4);
      k->mean(in.floats(), columns, begin, rows, mine.floats());
      scalar().mean(in.floats(), columns, begin, rows, expected.floats());
      CHECK(std::memcmp(mine.memory, expected.memory, size_t(columns) * 4) == 0);
    }
  }
}

TEST_CASE("selecting a table of bf16 tiles") {
  const char* reason = nullptr;
  for (const Kernels* k : tables()) {
    setenv("INLAY_ISA", k->name, 1);
    CHECK(select(Precision::bf16, &reason) == k);
    REQUIRE(select(Precision::f32, &reason) != nullptr);
    CHECK(select(Precision::f32, &reason)->layout == Layout::f32_rows);
  }
  setenv("INLAY_ISA", "scalar", 1);
  reason = nullptr;
  CHECK(select(Precision::bf16, &reason) == nullptr);
  CHECK(reason != nullptr);
  unsetenv("INLAY_ISA");
}
