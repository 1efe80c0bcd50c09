#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace inlay::gguf {

// Value types of the GGUF specification; the numbers are the file's own.
enum class ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

// ggml's tensor types that inlay reads; the numbers are the file's own.
enum class TensorType : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8,
  q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14, iq4_nl = 20, iq4_xs = 23, i8 = 24, i16 = 25, i32 = 26,
  bf16 = 30,
};

struct Tensor {
  std::string name;
  TensorType type;
  uint32_t n_dims;   // 1..4
  uint64_t ne[4];    // elements along each dimension, ne[0] the contiguous one; unused ones are 1
  uint64_t offset;   // from the start of the file
  uint64_t bytes;
};

// One key's value. Strings and arrays view the reader's copy of the metadata and live as long as it does.
struct Value {
  ValueType type;
  uint64_t bits = 0;                           // scalars, as stored (floats by their bit pattern)
  std::string_view text;                       // string
  ValueType element{};                         // array: element type
  uint64_t count = 0;                          // array
  std::vector<std::string_view> strings;       // array of strings
  const uint8_t* elements = nullptr;           // array of anything else: packed little-endian, unaligned
};

// Bounded, total reader of one GGUF file: every count, length and offset of the file is checked against the bytes
// that are there before anything is allocated or read. Metadata is copied once; tensors are read on demand with
// positioned reads from the one descriptor that was opened, so a reader may be shared by threads.
class Reader {
 public:
  // Opens a regular file. Throws Failure: model_not_found, or model_invalid with the rule that was broken.
  static std::unique_ptr<Reader> open(const std::string& path);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  uint64_t file_size() const;
  uint64_t data_start() const;  // of the tensor data, from the start of the file
  uint64_t alignment() const;
  uint32_t version() const;
  int descriptor() const;  // stays owned by the reader
  const std::string& architecture() const;  // general.architecture, "" where absent

  const Value* find(std::string_view key) const;
  const std::vector<std::pair<std::string, Value>>& metadata() const;  // in file order

  // Scalars of any integer (or float, or bool) type that holds the value exactly; nullopt where the key is absent
  // or of another kind.
  std::optional<uint64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  // Arrays; empty where absent or of another element kind.
  const std::vector<std::string_view>& strings(std::string_view key) const;
  std::vector<float> floats(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;

  // The same with the architecture's prefix: hparam("block_count") reads "bert.block_count".
  std::string hparam_key(std::string_view name) const;

  const std::vector<Tensor>& tensors() const;  // in file order
  const Tensor* tensor(std::string_view name) const;

  // Reads `bytes` bytes of `tensor` from `offset` inside it. Throws model_invalid where the file has shrunk.
  void read(const Tensor& tensor, uint64_t offset, uint64_t bytes, void* destination) const;

  // Corrections (see heal.h): everything above then answers as if the file had said so. The file is not changed, and
  // values of corrected keys viewed before are void. Only before the reader is shared between threads.
  void set_integer(std::string_view key, uint32_t value);
  void set_number(std::string_view key, float value);
  void set_boolean(std::string_view key, bool value);
  void set_string(std::string_view key, std::string text);
  void set_bytes(std::string_view key, std::string bytes);  // an array of u8
  void erase(std::string_view key);
  void rename_keys(std::string_view prefix, std::string_view replacement);
  void rename_tensor(std::string_view name, std::string_view replacement);
  bool is_healed() const;  // whether any of these was called

 private:
  Reader();
  struct State;
  std::unique_ptr<State> state;
};

// Bytes of one block and elements in it; {0, 0} for a type this reader does not know.
struct BlockSize {
  uint32_t bytes;
  uint32_t elements;
};
BlockSize block_size(TensorType type);
const char* type_name(TensorType type);

// Bytes of one stored value; 0 for strings and arrays.
uint32_t scalar_bytes(ValueType type);

}  // namespace inlay::gguf
