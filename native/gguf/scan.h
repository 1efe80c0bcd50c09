#pragma once

#include <cstdint>

#include "gguf/reader.h"

namespace inlay::gguf {

// The numbers of some blocks of a tensor. Of quantised types only the blocks' scales are looked at: their other
// fields are small integers.
struct Scan {
  bool finite = true;   // no NaN, no infinity
  float largest = 0;    // absolute; meaningless where not finite

  void merge(const Scan& other) {
    finite = finite && other.finite;
    largest = other.largest > largest ? other.largest : largest;
  }
};

// Scans `elements` elements (whole blocks). `data` needs no alignment. An engine that reads the weights anyway may
// call this on the way instead of having the validator read the file twice.
Scan scan_block(TensorType type, const void* data, uint64_t elements);

// Throws model_invalid where a scan of the whole tensor shows numbers that cannot be weights: NaN, infinity, absurd
// magnitude, or nothing but zeros in a tensor whose zeros would make every vector zero.
void check_scan(const Tensor& tensor, const Scan& scan);

}  // namespace inlay::gguf
