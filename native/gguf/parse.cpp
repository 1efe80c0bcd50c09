#include <algorithm>
#include <cstring>

#include "gguf/contents.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

constexpr uint64_t max_metadata_bytes = uint64_t{64} << 20;
constexpr uint64_t max_string_bytes = uint64_t{16} << 20;  // a whole tokenizer.json may stand in a value
constexpr uint64_t max_array_count = uint64_t{4} << 20;
constexpr uint64_t max_array_bytes = uint64_t{16} << 20;
constexpr uint64_t max_count = 65536;                      // of keys, and of tensors
constexpr uint64_t max_key_bytes = 256;
constexpr uint64_t max_tensor_name_bytes = 63;             // GGML_MAX_NAME with its NUL
constexpr uint64_t max_elements = uint64_t{1} << 40;
constexpr uint64_t min_kv_bytes = 8 + 1 + 4 + 1;           // a key of one byte and a bool
constexpr uint64_t min_tensor_bytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr size_t read_step = size_t{1} << 20;

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

// A cursor over the start of a file. Bytes are read as they are asked for, into one block that never moves; the
// block's size follows from the file's size, never from what the file claims.
class Cursor {
 public:
  explicit Cursor(const File& file)
      : file(file), limit(std::min(file.size(), max_metadata_bytes)),
        block(static_cast<uint8_t*>(std::malloc(static_cast<size_t>(std::max<uint64_t>(limit, 1))))) {
    if (!block) throw Failure(FailureCode::out_of_memory, "no memory for the model's metadata");
  }

  uint64_t position() const { return at; }
  uint64_t remaining() const { return file.size() - at; }

  // The next `bytes` bytes, which `what` names in a message.
  const uint8_t* take(uint64_t bytes, const char* what, std::string_view of = {}) {
    if (bytes > loaded - at) load(bytes, what, of);
    const uint8_t* start = block.get() + at;
    at += bytes;
    return start;
  }

  template <typename T>
  T number(const char* what, std::string_view of = {}) {
    T value;
    std::memcpy(&value, take(sizeof(T), what, of), sizeof(T));
    return value;
  }

  // Up to `bytes` bytes from here without moving on.
  std::string_view peek(size_t bytes) {
    const uint64_t there = std::min<uint64_t>(bytes, limit - at);
    take(there, "its first bytes");
    at -= there;
    return {reinterpret_cast<const char*>(block.get() + at), static_cast<size_t>(there)};
  }

  std::unique_ptr<uint8_t[], FreeBlock> release() { return std::move(block); }

 private:
  void load(uint64_t bytes, const char* what, std::string_view of) {
    const std::string where = std::string(what) + (of.empty() ? "" : " of " + printable(of));
    if (bytes > remaining()) {
      throw broken("GGUF_TRUNCATED", "the file ends inside " + where + ": byte " + std::to_string(at) + " needs " +
                                         std::to_string(bytes) + " more bytes, " + std::to_string(remaining()) +
                                         " are there; download it again");
    }
    if (bytes > limit - at) {
      throw broken("GGUF_METADATA_SIZE", "the metadata takes more than " + std::to_string(max_metadata_bytes) +
                                             " bytes, reached in " + where);
    }
    const uint64_t end = std::min(limit, std::max(at + bytes, loaded + read_step));
    const size_t got = file.read_at(loaded, block.get() + loaded, static_cast<size_t>(end - loaded));
    loaded += got;
    if (bytes > loaded - at) throw broken("GGUF_TRUNCATED", "the file shrank while it was read, inside " + where);
  }

  const File& file;
  const uint64_t limit;
  std::unique_ptr<uint8_t[], FreeBlock> block;
  uint64_t loaded = 0;
  uint64_t at = 0;
};

class Parser {
 public:
  explicit Parser(const File& file) : file(file), cursor(file) {}

  Contents run() {
    const uint64_t tensors = parse_header();
    for (uint64_t i = 0; i < key_count; i++) parse_key_value(i);
    read_general_keys();
    for (uint64_t i = 0; i < tensors; i++) parse_tensor(i);
    place_tensors();
    contents.block = cursor.release();
    return std::move(contents);
  }

 private:
  uint64_t parse_header() {
    if (file.size() == 0) throw broken("GGUF_TRUNCATED", "the file is empty");
    const std::string_view start = cursor.peek(64);
    if (start.substr(0, 4) != std::string_view("GGUF").substr(0, start.size())) {
      throw broken("GGUF_MAGIC", "this is not a GGUF file: " + describe_other_file(start));
    }
    cursor.take(4, "the magic");
    contents.version = cursor.number<uint32_t>("the version");
    if ((contents.version & 0xFFFF) == 0 && contents.version != 0) {
      throw broken("GGUF_BYTE_ORDER", "the file is big-endian; inlay reads little-endian GGUF files");
    }
    if (contents.version != 2 && contents.version != 3) {
      throw broken("GGUF_VERSION", "the file is of GGUF version " + std::to_string(contents.version) +
                                       "; inlay reads versions 2 and 3");
    }
    const uint64_t tensors = cursor.number<uint64_t>("the tensor count");
    key_count = cursor.number<uint64_t>("the key count");
    check_count("tensors", tensors, min_tensor_bytes);
    check_count("keys", key_count, min_kv_bytes);
    return tensors;
  }

  void check_count(const char* what, uint64_t count, uint64_t min_bytes) {
    if (count > max_count) {
      throw broken("GGUF_COUNT", "the header says " + std::to_string(count) + " " + what + "; at most " +
                                     std::to_string(max_count) + " are read");
    }
    if (count > cursor.remaining() / min_bytes) {
      throw broken("GGUF_TRUNCATED", "the header says " + std::to_string(count) + " " + what + ", but only " +
                                         std::to_string(cursor.remaining()) + " bytes follow it");
    }
  }

  void parse_key_value(uint64_t index) {
    const uint64_t length = cursor.number<uint64_t>("the length of a key");
    if (length == 0 || length > max_key_bytes) {
      throw broken("GGUF_KV_KEY", "key " + std::to_string(index) + " is " + std::to_string(length) +
                                      " bytes long; expected 1 to " + std::to_string(max_key_bytes));
    }
    const std::string_view key = text(length, "a key");
    if (!is_printable_ascii(key)) {
      throw broken("GGUF_KV_KEY", "key " + printable(key) + " holds bytes other than printable ASCII");
    }
    if (!keys.emplace(key, index).second) throw broken("GGUF_KV_DUPLICATE", "key " + printable(key) + " occurs twice");

    Value value;
    value.type = value_type(key, "its value");
    if (value.type == ValueType::string) {
      value.text = string_value(key);
    } else if (value.type == ValueType::array) {
      parse_array(key, value);
    } else {
      const uint32_t bytes = scalar_bytes(value.type);
      std::memcpy(&value.bits, cursor.take(bytes, "the value", key), bytes);
      if (value.type == ValueType::boolean && value.bits > 1) {
        throw broken("GGUF_KV_BOOL", "key " + printable(key) + " is a bool of value " + std::to_string(value.bits) +
                                         "; expected 0 or 1");
      }
    }
    contents.metadata.emplace_back(key, std::move(value));
  }

  ValueType value_type(std::string_view key, const char* what) {
    const uint32_t number = cursor.number<uint32_t>("the type", key);
    if (number > static_cast<uint32_t>(ValueType::f64)) {
      throw broken("GGUF_KV_TYPE", "key " + printable(key) + ": " + what + " is of type " + std::to_string(number) +
                                       "; GGUF has types 0 to 12");
    }
    return static_cast<ValueType>(number);
  }

  std::string_view string_value(std::string_view key) {
    const uint64_t length = cursor.number<uint64_t>("the value", key);
    if (length > max_string_bytes) {
      throw broken("GGUF_KV_STRING", "key " + printable(key) + " holds a string of " + std::to_string(length) +
                                         " bytes; at most " + std::to_string(max_string_bytes) + " are read");
    }
    return text(length, "the value", key);
  }

  void parse_array(std::string_view key, Value& value) {
    value.element = value_type(key, "an element of its array");
    value.count = cursor.number<uint64_t>("the array", key);
    if (value.element == ValueType::array) {
      throw broken("GGUF_KV_ARRAY", "key " + printable(key) + " is an array of arrays");
    }
    const uint64_t bytes = value.element == ValueType::string ? 8 : scalar_bytes(value.element);
    const uint64_t most = bytes == 1 ? max_array_bytes : max_array_count;
    if (value.count > most) {
      throw broken("GGUF_KV_ARRAY", "key " + printable(key) + " is an array of " + std::to_string(value.count) +
                                        " elements; at most " + std::to_string(most) + " are read");
    }
    if (value.count > cursor.remaining() / bytes) {
      throw broken("GGUF_TRUNCATED", "key " + printable(key) + " is an array of " + std::to_string(value.count) +
                                         " elements, more than the rest of the file holds");
    }
    if (value.element == ValueType::string) {
      value.strings.reserve(value.count);  // the file has 8 bytes at least for each of these 16
      for (uint64_t i = 0; i < value.count; i++) value.strings.push_back(string_value(key));
      return;
    }
    value.elements = cursor.take(value.count * bytes, "the array", key);
    if (value.element == ValueType::boolean &&
        std::any_of(value.elements, value.elements + value.count, [](uint8_t bit) { return bit > 1; })) {
      throw broken("GGUF_KV_BOOL", "key " + printable(key) + " is an array of bools with a value other than 0 and 1");
    }
  }

  void read_general_keys() {
    for (const auto& [key, value] : contents.metadata) {
      if (key == "general.alignment") {
        const bool sound = value.type == ValueType::u32 && value.bits >= 8 && value.bits <= 4096 &&
                           (value.bits & (value.bits - 1)) == 0;
        if (!sound) {
          throw broken("GGUF_ALIGNMENT", "general.alignment must be a uint32 that is a power of two from 8 to 4096" +
                                             (value.type == ValueType::u32
                                                  ? ", found " + std::to_string(value.bits)
                                                  : ", found a value of type " +
                                                        std::to_string(static_cast<uint32_t>(value.type))));
        }
        contents.alignment = value.bits;
      } else if (key == "general.architecture") {
        if (value.type != ValueType::string || value.text.size() > 64 || !is_printable_ascii(value.text)) {
          throw broken("GGUF_ARCHITECTURE", "general.architecture must be a string of at most 64 printable characters");
        }
        contents.architecture = value.text;
      }
    }
  }

  void parse_tensor(uint64_t index) {
    const uint64_t length = cursor.number<uint64_t>("the length of a tensor's name");
    if (length == 0 || length > max_tensor_name_bytes) {
      throw broken("GGUF_TENSOR_NAME", "the name of tensor " + std::to_string(index) + " is " + std::to_string(length) +
                                           " bytes long; expected 1 to " + std::to_string(max_tensor_name_bytes));
    }
    const std::string_view name = text(length, "a tensor's name");
    if (!is_printable_ascii(name)) {
      throw broken("GGUF_TENSOR_NAME", "tensor name " + printable(name) + " holds bytes other than printable ASCII");
    }
    if (!names.emplace(name, index).second) {
      throw broken("GGUF_TENSOR_DUPLICATE", "tensor " + printable(name) + " occurs twice");
    }
    Tensor tensor{};
    tensor.name = name;
    tensor.n_dims = cursor.number<uint32_t>("the shape of tensor", name);
    if (tensor.n_dims < 1 || tensor.n_dims > 4) {
      throw broken("GGUF_TENSOR_DIMS", "tensor " + printable(name) + " has " + std::to_string(tensor.n_dims) +
                                           " dimensions; expected 1 to 4");
    }
    uint64_t elements = 1;
    for (uint32_t i = 0; i < 4; i++) {
      tensor.ne[i] = i < tensor.n_dims ? cursor.number<uint64_t>("the shape of tensor", name) : 1;
      if (tensor.ne[i] == 0 || tensor.ne[i] > max_elements / elements) {
        throw broken("GGUF_TENSOR_DIMS", "tensor " + printable(name) + ": dimension " + std::to_string(i) + " is " +
                                             std::to_string(tensor.ne[i]) + "; every one must be at least 1 and their "
                                             "product at most 2^40");
      }
      elements *= tensor.ne[i];
    }
    tensor.type = tensor_type(name);
    const BlockSize block = block_size(tensor.type);
    if (tensor.ne[0] % block.elements != 0) {
      throw broken("GGUF_TENSOR_DIMS", "tensor " + printable(name) + " of type " + type_name(tensor.type) +
                                           " has rows of " + std::to_string(tensor.ne[0]) +
                                           " elements, not a multiple of " + std::to_string(block.elements));
    }
    tensor.bytes = elements / block.elements * block.bytes;  // below 2^43
    tensor.offset = cursor.number<uint64_t>("the offset of tensor", name);
    contents.tensors.push_back(std::move(tensor));
  }

  TensorType tensor_type(std::string_view name) {
    const TensorType type = static_cast<TensorType>(cursor.number<uint32_t>("the type of tensor", name));
    if (block_size(type).elements > 0) return type;
    const std::string number = std::to_string(static_cast<uint32_t>(type));
    if (std::strcmp(type_name(type), "unknown") == 0) {
      throw broken("GGUF_TENSOR_TYPE", "tensor " + printable(name) + " is of type " + number + ", which ggml has not");
    }
    throw unsupported("GGUF_TENSOR_TYPE", "tensor " + printable(name) + " is of type " + type_name(type) +
                                              ", which inlay does not read; use a file in F32, F16, BF16, Q8_0 or a "
                                              "Q4 to Q6 type");
  }

  // Data follows in the order of the infos, each tensor at the next aligned byte, as llama.cpp requires too.
  void place_tensors() {
    const uint64_t alignment = contents.alignment;
    const auto aligned = [alignment](uint64_t bytes) { return (bytes + alignment - 1) & ~(alignment - 1); };
    contents.data_start = aligned(cursor.position());
    uint64_t expected = 0;  // below 2^16 tensors of 2^43 bytes: no overflow
    for (Tensor& tensor : contents.tensors) {
      if (tensor.offset != expected) {
        throw broken("GGUF_TENSOR_OFFSET", "tensor " + printable(tensor.name) + " has offset " +
                                               std::to_string(tensor.offset) + "; expected " +
                                               std::to_string(expected) + ", where the one before it ends");
      }
      expected += aligned(tensor.bytes);
      tensor.offset += contents.data_start;
      if (tensor.offset > file.size() || tensor.bytes > file.size() - tensor.offset) {
        throw broken("GGUF_TRUNCATED", "tensor " + printable(tensor.name) + " takes bytes " +
                                           std::to_string(tensor.offset) + " to " +
                                           std::to_string(tensor.offset + tensor.bytes) + ", but the file has " +
                                           std::to_string(file.size()) + "; download it again");
      }
    }
  }

  std::string_view text(uint64_t bytes, const char* what, std::string_view of = {}) {
    return {reinterpret_cast<const char*>(cursor.take(bytes, what, of)), static_cast<size_t>(bytes)};
  }

  const File& file;
  Cursor cursor;
  Contents contents;
  uint64_t key_count = 0;
  NameIndex keys;   // views of the block, which does not move
  NameIndex names;
};

}  // namespace

Contents parse(const File& file) { return Parser(file).run(); }

}  // namespace inlay::gguf
