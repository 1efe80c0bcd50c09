#pragma once

#include <cstddef>

namespace inlay {

// A thread's buffer for as long as it is used: empty at first, and given back at the end where one
// huge text has made it large, so that no thread keeps it for ever.
template <typename Container>
class Scratch {
 public:
  explicit Scratch(Container& buffer) : buffer(buffer) { buffer.clear(); }
  ~Scratch() {
    if (buffer.capacity() * sizeof(typename Container::value_type) > kept_bytes)
      Container().swap(buffer);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  Container& operator*() const { return buffer; }
  Container* operator->() const { return &buffer; }

 private:
  static constexpr size_t kept_bytes = size_t{1} << 20;
  Container& buffer;
};

}  // namespace inlay
