#include "gguf/charsmap.h"

#include <cstring>
#include <vector>

namespace inlay::gguf {

namespace {

constexpr uint32_t max_array_bytes = 2 << 20;  // NFKC's takes 180 KiB; bounds the walk below to a fraction of a second

// A unit of Darts-clone's double array: a node's label in bits 0 to 7, whether it ends an entry in bit 8, the
// distance to its children in bits 10 to 30, shifted by 8 where bit 9 is set. Bit 31 marks values.
struct Unit {
  uint32_t bits;

  bool has_label(uint32_t label) const { return (bits & 0x800000FFu) == label; }
  bool ends_entry() const { return (bits & 0x100u) != 0; }
  uint32_t distance() const { return (bits >> 10) << ((bits & 0x200u) >> 6); }
  uint32_t value() const { return bits & 0x7FFFFFFFu; }
};

}  // namespace

const char* charsmap_fault(const uint8_t* map, uint64_t bytes) {
  uint32_t array_bytes = 0;
  if (bytes < sizeof array_bytes) return "it is too short";
  std::memcpy(&array_bytes, map, sizeof array_bytes);
  if (array_bytes == 0 || array_bytes % sizeof(Unit) != 0 || array_bytes > max_array_bytes ||
      array_bytes >= bytes - sizeof array_bytes) {
    return "the size it gives for its array does not fit it";
  }
  if (map[bytes - 1] != 0) return "its last replacement does not end";
  std::vector<Unit> units(array_bytes / sizeof(Unit));
  std::memcpy(units.data(), map + sizeof array_bytes, array_bytes);
  const uint64_t replacement_bytes = bytes - sizeof array_bytes - array_bytes;

  // Children of a node stand at its base xor their label, so within one block of 256 units.
  std::vector<bool> reached(units.size());
  std::vector<uint32_t> bases = {units[0].distance()};
  while (!bases.empty()) {
    const uint32_t base = bases.back();
    bases.pop_back();
    if ((base | 0xFFu) >= units.size()) return "its array points past its end";
    for (uint32_t label = 1; label < 256; label++) {
      const uint32_t child = base ^ label;
      const Unit unit = units[child];
      if (!unit.has_label(label) || reached[child]) continue;
      reached[child] = true;
      const uint32_t next = child ^ unit.distance();
      if (next >= units.size()) return "its array points past its end";
      if (unit.ends_entry() && units[next].value() >= replacement_bytes) return "it points past its replacements";
      bases.push_back(next);
    }
  }
  return nullptr;
}

}  // namespace inlay::gguf
