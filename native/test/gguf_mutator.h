#pragma once

#include <cstdint>
#include <string>

namespace inlay::gguf::test {

// A small generator with a known sequence for each seed (SplitMix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state(seed) {}

  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }

  uint64_t below(uint64_t limit) { return next() % limit; }

 private:
  uint64_t state;
};

// One to four random faults in a regular file of a random architecture: fields set to values that provoke (zero, the
// largest, wrapping ones), keys and tensors dropped, doubled, swapped and retyped, strings and arrays changed, bits
// flipped, the file cut, grown or spliced. The same seed gives the same file.
std::string mutated_file(uint64_t seed);

}  // namespace inlay::gguf::test
