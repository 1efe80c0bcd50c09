#pragma once

#include <cstdint>

namespace inlay::gguf {

// Checks SentencePiece's precompiled character map: the size of a double array in bytes, the array's 32-bit units,
// and NUL-ended replacements. Afterwards no text can lead a lookup out of the array or the replacements.
// nullptr where the map is sound, otherwise what is wrong with it.
const char* charsmap_fault(const uint8_t* map, uint64_t bytes);

}  // namespace inlay::gguf
