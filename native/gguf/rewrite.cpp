#include <algorithm>
#include <cstring>
#include <memory>

#include "failure.h"
#include "gguf/heal.h"

namespace inlay::gguf {

namespace {

constexpr uint64_t chunk_bytes = uint64_t{1} << 20;

class HeaderWriter {
 public:
  std::string bytes;

  template <typename T>
  void number(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void text(std::string_view value) {
    number<uint64_t>(value.size());
    bytes.append(value);
  }

  void value(const Value& value) {
    number(static_cast<uint32_t>(value.type));
    if (value.type == ValueType::string) {
      text(value.text);
    } else if (value.type == ValueType::array) {
      number(static_cast<uint32_t>(value.element));
      number(value.count);
      for (const std::string_view one : value.strings) text(one);
      if (value.elements != nullptr) {
        bytes.append(reinterpret_cast<const char*>(value.elements), value.count * scalar_bytes(value.element));
      }
    } else {
      bytes.append(reinterpret_cast<const char*>(&value.bits), scalar_bytes(value.type));
    }
  }

  void pad(uint64_t alignment) { bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0'); }
};

void write_bytes(std::FILE* stream, const void* bytes, size_t count) {
  if (std::fwrite(bytes, 1, count, stream) != count) {
    throw Failure(FailureCode::internal, "writing a corrected copy of the model failed");
  }
}

}  // namespace

std::string header(const Reader& file) {
  HeaderWriter out;
  out.bytes = "GGUF";
  out.number<uint32_t>(3);
  out.number<uint64_t>(file.tensors().size());
  out.number<uint64_t>(file.metadata().size());
  for (const auto& [key, value] : file.metadata()) {
    out.text(key);
    out.value(value);
  }
  for (const Tensor& tensor : file.tensors()) {
    out.text(tensor.name);
    out.number(tensor.n_dims);
    for (uint32_t i = 0; i < tensor.n_dims; i++) out.number(tensor.ne[i]);
    out.number(static_cast<uint32_t>(tensor.type));
    out.number(tensor.offset - file.data_start());
  }
  out.pad(file.alignment());
  return std::move(out.bytes);
}

void write_model(const Reader& file, std::FILE* stream) {
  const std::string start = header(file);
  write_bytes(stream, start.data(), start.size());
  const std::unique_ptr<uint8_t[]> buffer(new uint8_t[chunk_bytes]);
  uint64_t written = file.data_start();  // as if in the original file
  for (const Tensor& tensor : file.tensors()) {
    const std::string padding(static_cast<size_t>(tensor.offset - written), '\0');
    write_bytes(stream, padding.data(), padding.size());
    for (uint64_t at = 0; at < tensor.bytes; at += chunk_bytes) {
      const uint64_t bytes = std::min(chunk_bytes, tensor.bytes - at);
      file.read(tensor, at, bytes, buffer.get());
      write_bytes(stream, buffer.get(), static_cast<size_t>(bytes));
    }
    written = tensor.offset + tensor.bytes;
  }
  if (std::fflush(stream) != 0) throw Failure(FailureCode::internal, "writing a corrected copy of the model failed");
}

}  // namespace inlay::gguf
