#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <random>

#include "kernels/amx_instructions.h"

// The emulated instructions against scalar code written from the same operation sections of Intel's manual.
using namespace inlay::kernels;

namespace {

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

float value_of(uint16_t bf16) {
  const uint32_t bits = uint32_t(bf16) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return flushed(value);
}

// Finite values of every magnitude, denormals among them.
uint16_t any_bf16(std::mt19937& random) {
  for (;;) {
    const uint16_t bits = uint16_t(random());
    if ((bits & 0x7f80) != 0x7f80) return bits;
  }
}

uint16_t moderate_bf16(std::mt19937& random) { return uint16_t((random() & 0x81ff) | 0x3e00); }

bool ends_by_abort(void (*body)()) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("emulated dot products of pairs add the odd product first and flush denormals") {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; i++) {
    alignas(64) uint16_t a[32], b[32];
    alignas(64) float sums[16], result[16];
    for (int n = 0; n < 32; n++) {
      a[n] = i % 2 == 0 ? any_bf16(random) : moderate_bf16(random);
      b[n] = i % 2 == 0 ? any_bf16(random) : moderate_bf16(random);
    }
    for (float& sum : sums) sum = i % 3 == 0 ? value_of(any_bf16(random)) : value_of(moderate_bf16(random));
    _mm512_store_ps(result, add_dots(_mm512_load_ps(sums), _mm512_load_si512(a), _mm512_load_si512(b)));
    for (int n = 0; n < 16; n++) {
      float expected = flushed(std::fma(value_of(a[2 * n + 1]), value_of(b[2 * n + 1]), flushed(sums[n])));
      expected = flushed(std::fma(value_of(a[2 * n]), value_of(b[2 * n]), expected));
      CHECK((result[n] == expected || (std::isnan(result[n]) && std::isnan(expected))));
    }
  }
}

TEST_CASE("emulated narrowing rounds to nearest even") {
  alignas(64) uint16_t result[32];
  const float tie_down = 1.0f + 0x1p-8f, tie_up = 1.0f + 0x3p-8f, above = 1.0f + 0x1.01p-8f;
  _mm512_store_si512(result, narrow(_mm512_setr_ps(tie_down, tie_up, above, -tie_up, 0x1p-130f, INFINITY, NAN, 3.4e38f, 0,
                                                   0, 0, 0, 0, 0, 0, 0),
                                    _mm512_set1_ps(2)));
  CHECK(result[0] == 0x3f80);
  CHECK(result[1] == 0x3f82);
  CHECK(result[2] == 0x3f81);
  CHECK(result[3] == 0xbf82);
  CHECK(result[4] == 0);
  CHECK(result[5] == 0x7f80);
  CHECK((result[6] & 0x7fc0) == 0x7fc0);
  CHECK(result[7] == 0x7f80);
  CHECK(result[16] == 0x4000);
}

TEST_CASE("emulated tile products add even and odd values apart") {
  std::mt19937 random(2);
  alignas(64) uint16_t a[16][32], b[16][32];
  alignas(64) float sums[16][16], result[16][16];
  for (int i = 0; i < 50; i++) {
    for (int r = 0; r < 16; r++) {
      for (int n = 0; n < 32; n++) {
        a[r][n] = i % 2 == 0 ? any_bf16(random) : moderate_bf16(random);
        b[r][n] = i % 2 == 0 ? any_bf16(random) : moderate_bf16(random);
      }
      for (float& sum : sums[r]) sum = value_of(moderate_bf16(random));
    }
    load_tile_configuration(TileConfiguration());
    load_tile<0>(reinterpret_cast<const char*>(sums));
    load_tile<1>(reinterpret_cast<const char*>(a));
    load_tile<2>(reinterpret_cast<const char*>(b));
    multiply_tiles<0, 1, 2>();
    store_tile<0>(result[0], 64);
    release_tiles();
    for (int m = 0; m < 16; m++) {
      for (int n = 0; n < 16; n++) {
        float even = 0, odd = 0;
        for (int k = 0; k < 16; k++) {
          even = flushed(std::fma(value_of(a[m][2 * k]), value_of(b[k][2 * n]), even));
          odd = flushed(std::fma(value_of(a[m][2 * k + 1]), value_of(b[k][2 * n + 1]), odd));
        }
        const float expected = flushed(sums[m][n] + flushed(even + odd));
        CHECK((result[m][n] == expected || (std::isnan(result[m][n]) && std::isnan(expected))));
      }
    }
  }
}

TEST_CASE("emulated tiles fault as a CPU does") {
  CHECK(ends_by_abort([] { zero_tile<0>(); }));
  CHECK(ends_by_abort([] {
    load_tile_configuration(TileConfiguration());
    release_tiles();
    zero_tile<0>();
  }));
  CHECK(ends_by_abort([] {
    TileConfiguration c;
    c.palette = 2;
    load_tile_configuration(c);
  }));
  CHECK(ends_by_abort([] {
    TileConfiguration c;
    c.rows[1] = 17;
    load_tile_configuration(c);
  }));
  CHECK(ends_by_abort([] {
    TileConfiguration c;
    c.rows[2] = 8;
    load_tile_configuration(c);
    multiply_tiles<0, 1, 2>();
  }));
  CHECK_FALSE(ends_by_abort([] {
    load_tile_configuration(TileConfiguration());
    multiply_tiles<0, 1, 2>();
  }));
}
