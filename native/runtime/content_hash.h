#pragma once

#include <cstdint>
#include <string>

namespace inlay {

namespace gguf { class Reader; }

// 128 bits over a whole file's content, as 32 hex digits: tells files apart, resists no attacker.
class ContentHash {
 public:
  // Takes a descriptor of its own for the file that the reader has open.
  explicit ContentHash(const gguf::Reader& file);
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;

  // Reads the bytes in order; "" where the file has shrunk.
  std::string run() const;

 private:
  int descriptor;
  uint64_t size;
};

}  // namespace inlay
