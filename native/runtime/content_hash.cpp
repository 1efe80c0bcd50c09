#include "runtime/content_hash.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#ifdef _WIN32
#include <io.h>
#else
#include <fcntl.h>
#include <unistd.h>
#endif

#include "failure.h"
#include "gguf/reader.h"

namespace inlay {
namespace {

// Four independent multiply-rotate lanes over 32 bytes a step, so that hashing runs at memory speed.
struct Lanes {
  uint64_t lane[4] = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x27d4eb2f165667c5};

  void add(const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i + 32 <= size; i += 32) {
      for (int l = 0; l < 4; l++) {
        uint64_t word;
        std::memcpy(&word, bytes + i + 8 * l, 8);
        uint64_t x = (lane[l] ^ word) * 0x9fb21c651e98df25;
        lane[l] = (x << 31 | x >> 33) + 0x9e3779b97f4a7c15;
      }
    }
  }
};

uint64_t mix(uint64_t x) {  // the finaliser of MurmurHash3
  x = (x ^ x >> 33) * 0xff51afd7ed558ccd;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53;
  return x ^ x >> 33;
}

int64_t read_at(int descriptor, uint8_t* bytes, size_t size, uint64_t offset) {
#ifdef _WIN32
  if (_lseeki64(descriptor, static_cast<int64_t>(offset), SEEK_SET) < 0) return -1;
  return _read(descriptor, bytes, static_cast<unsigned>(size));
#else
  return pread(descriptor, bytes, size, static_cast<off_t>(offset));
#endif
}

}  // namespace

ContentHash::ContentHash(const gguf::Reader& file) : size(file.file_size()) {
#ifdef _WIN32
  descriptor = _dup(file.descriptor());
#else
  descriptor = fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0);
#endif
  if (descriptor < 0) throw Failure(FailureCode::out_of_memory, "No file descriptor is left to read the model with.");
}

ContentHash::~ContentHash() {
#ifdef _WIN32
  _close(descriptor);
#else
  close(descriptor);
#endif
}

std::string ContentHash::run() const {
  constexpr size_t block = size_t{1} << 18;
  std::vector<uint8_t> bytes(block);
  Lanes lanes;
  uint64_t offset = 0;
  while (offset < size) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(block, size - offset));
    size_t have = 0;
    while (have < wanted) {
      const int64_t count = read_at(descriptor, bytes.data() + have, wanted - have, offset + have);
      if (count <= 0) return "";
      have += static_cast<size_t>(count);
    }
    const size_t padded = (have + 31) / 32 * 32;
    std::memset(bytes.data() + have, 0, padded - have);
    lanes.add(bytes.data(), padded);
    offset += have;
  }
  const uint64_t a = mix(lanes.lane[0] ^ mix(lanes.lane[1] + offset));
  const uint64_t b = mix(lanes.lane[2] + mix(lanes.lane[3] ^ a));
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(mix(a + b)),
                static_cast<unsigned long long>(b));
  return text;
}

}  // namespace inlay
