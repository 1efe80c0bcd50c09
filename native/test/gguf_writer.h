#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"

namespace inlay::gguf::test {

template <typename T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

inline std::string raw_text(std::string_view text) { return raw<uint64_t>(text.size()) + std::string(text); }

// A GGUF file in the making. Nothing is checked, so that it can also be a wrong one: any field may be set to anything
// before `bytes` puts it together.
class FileWriter {
 public:
  struct Key {
    std::string name;
    uint32_t type;
    std::string value;  // as stored
  };

  struct TensorInfo {
    std::string name;
    std::vector<uint64_t> shape;
    uint32_t type;
    std::string data;
    std::optional<uint64_t> offset;  // where absent, the right one
  };

  uint32_t version = 3;
  uint64_t alignment = 32;  // of the data; general.alignment is set apart
  std::optional<uint64_t> key_count, tensor_count;
  std::vector<Key> keys;
  std::vector<TensorInfo> tensors;

  void set(const std::string& name, ValueType type, std::string value) {
    for (Key& key : keys) {
      if (key.name == name) {
        key = {name, static_cast<uint32_t>(type), std::move(value)};
        return;
      }
    }
    keys.push_back({name, static_cast<uint32_t>(type), std::move(value)});
  }

  void u32(const std::string& name, uint32_t value) { set(name, ValueType::u32, raw(value)); }
  void f32(const std::string& name, float value) { set(name, ValueType::f32, raw(value)); }
  void boolean(const std::string& name, bool value) { set(name, ValueType::boolean, std::string(1, value ? 1 : 0)); }
  void text(const std::string& name, std::string_view value) { set(name, ValueType::string, raw_text(value)); }

  void strings(const std::string& name, const std::vector<std::string>& values) {
    std::string value = raw(static_cast<uint32_t>(ValueType::string)) + raw<uint64_t>(values.size());
    for (const std::string& one : values) value += raw_text(one);
    set(name, ValueType::array, std::move(value));
  }

  template <typename T>
  void array(const std::string& name, ValueType element, const std::vector<T>& values) {
    std::string value = raw(static_cast<uint32_t>(element)) + raw<uint64_t>(values.size());
    for (const T one : values) value += raw(one);
    set(name, ValueType::array, std::move(value));
  }

  void remove(const std::string& name) {
    for (size_t i = 0; i < keys.size(); i++) {
      if (keys[i].name == name) keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(i--));
    }
  }

  bool has(const std::string& name) const {
    for (const Key& key : keys) {
      if (key.name == name) return true;
    }
    return false;
  }

  // The tensor of this name, which must be there.
  TensorInfo& tensor(const std::string& name) {
    for (TensorInfo& one : tensors) {
      if (one.name == name) return one;
    }
    throw std::string("no tensor ") + name;
  }

  void remove_tensor(const std::string& name) {
    for (size_t i = 0; i < tensors.size(); i++) {
      if (tensors[i].name == name) tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i--));
    }
  }

  std::string bytes() const {
    std::string out = "GGUF" + raw(version) + raw<uint64_t>(tensor_count.value_or(tensors.size())) +
                      raw<uint64_t>(key_count.value_or(keys.size()));
    for (const Key& key : keys) out += raw_text(key.name) + raw(key.type) + key.value;
    std::string data;
    for (const TensorInfo& one : tensors) {
      pad(data);
      out += raw_text(one.name) + raw(static_cast<uint32_t>(one.shape.size()));
      for (const uint64_t ne : one.shape) out += raw(ne);
      out += raw(one.type) + raw<uint64_t>(one.offset.value_or(data.size()));
      data += one.data;
    }
    pad(out);
    pad(data);
    return out + data;
  }

 private:
  void pad(std::string& bytes) const { bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0'); }
};

}  // namespace inlay::gguf::test
