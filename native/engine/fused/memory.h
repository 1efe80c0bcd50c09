#pragma once

#include <cstddef>
#include <cstdint>

namespace inlay::fused {

// Zeroed anonymous memory on a page boundary, in huge pages where the system gives them: a panel of weights spans
// hundreds of small pages, and a page costs memory only once it is touched.
class Memory {
 public:
  Memory() = default;
  explicit Memory(uint64_t bytes);  // throws Failure(out_of_memory)
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return start; }
  uint64_t size() const { return bytes; }

 private:
  void* start = nullptr;
  uint64_t bytes = 0;
};

// A private read-only view of a part of the model file.
class FileMapping {
 public:
  FileMapping() = default;
  FileMapping(int descriptor, uint64_t offset, uint64_t bytes);  // throws Failure(out_of_memory)
  ~FileMapping();
  FileMapping(FileMapping&& other) noexcept;
  FileMapping& operator=(FileMapping&& other) noexcept;
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;

  const uint8_t* data() const { return static_cast<const uint8_t*>(start) + skipped; }

 private:
  void* start = nullptr;
  uint64_t mapped = 0;
  uint64_t skipped = 0;  // from the page's start to the part's
};

// Hands out pieces of a Memory, each on 64 bytes. With no memory behind it, it only adds up what would be needed.
class Arena {
 public:
  Arena() = default;
  explicit Arena(const Memory& memory) : base(static_cast<char*>(memory.data())) {}

  template <typename T>
  T* take(uint64_t count) {
    return static_cast<T*>(take_bytes(count * sizeof(T)));
  }
  void* take_bytes(uint64_t count) {
    void* piece = base == nullptr ? nullptr : base + used;
    used += (count + 63) / 64 * 64;
    return piece;
  }
  uint64_t taken() const { return used; }

 private:
  char* base = nullptr;
  uint64_t used = 0;
};

}  // namespace inlay::fused
