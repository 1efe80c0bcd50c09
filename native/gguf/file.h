#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace inlay::gguf {

// One open descriptor of a regular file, its size taken once. Positioned reads only, so threads may share it.
class File {
 public:
  // `path` is UTF-8. Throws Failure: model_not_found where it cannot be opened, model_invalid where it is a pipe, a
  // device or a socket. Never waits on a pipe.
  explicit File(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return fd; }
  uint64_t size() const { return length; }

  // Reads up to `bytes` bytes; fewer only where the file ends. Throws model_invalid on an I/O error.
  size_t read_at(uint64_t offset, void* destination, size_t bytes) const;

 private:
  int fd = -1;
  uint64_t length = 0;
};

}  // namespace inlay::gguf
