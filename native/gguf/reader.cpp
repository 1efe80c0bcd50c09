#include "gguf/reader.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "gguf/contents.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

template <typename T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// A signed or unsigned integer of any stored width.
struct WideInteger {
  bool negative;
  uint64_t magnitude_bits;  // two's complement where negative
};

std::optional<WideInteger> wide_integer(ValueType type, uint64_t bits) {
  int64_t value = 0;
  switch (type) {
    case ValueType::u8:
    case ValueType::u16:
    case ValueType::u32:
    case ValueType::u64:
    case ValueType::boolean: return WideInteger{false, bits};
    case ValueType::i8: value = from_bits<int8_t>(bits); break;
    case ValueType::i16: value = from_bits<int16_t>(bits); break;
    case ValueType::i32: value = from_bits<int32_t>(bits); break;
    case ValueType::i64: value = from_bits<int64_t>(bits); break;
    default: return std::nullopt;
  }
  return WideInteger{value < 0, static_cast<uint64_t>(value)};
}

std::optional<double> floating(ValueType type, uint64_t bits) {
  if (type == ValueType::f32) return from_bits<float>(bits);
  if (type == ValueType::f64) return from_bits<double>(bits);
  return std::nullopt;
}

uint64_t element_bits(const Value& array, uint64_t index) {
  const uint32_t bytes = scalar_bytes(array.element);
  uint64_t bits = 0;
  std::memcpy(&bits, array.elements + index * bytes, bytes);
  return bits;
}

}  // namespace

struct Reader::State {
  explicit State(const std::string& path) : file(path), contents(parse(file)) { reindex(); }

  void reindex() {
    indexed++;
    keys.clear();
    names.clear();
    for (size_t i = 0; i < contents.metadata.size(); i++) keys.emplace(contents.metadata[i].first, i);
    for (size_t i = 0; i < contents.tensors.size(); i++) names.emplace(contents.tensors[i].name, i);
    const auto architecture = keys.find("general.architecture");
    contents.architecture =
        architecture == keys.end() ? "" : std::string(contents.metadata[architecture->second].second.text);
  }

  void set(std::string_view key, Value value) {
    const auto known = keys.find(key);
    if (known != keys.end()) {
      contents.metadata[known->second].second = std::move(value);
    } else {
      contents.metadata.emplace_back(key, std::move(value));
    }
    reindex();
  }

  std::string_view keep(std::string bytes) { return contents.edited.emplace_back(std::move(bytes)); }

  int indexed = 0;  // once on opening, then once for each correction
  File file;
  Contents contents;
  NameIndex keys;
  NameIndex names;
};

Reader::Reader() = default;
Reader::~Reader() = default;

std::unique_ptr<Reader> Reader::open(const std::string& path) {
  std::unique_ptr<Reader> reader(new Reader);
  reader->state = std::make_unique<State>(path);
  return reader;
}

uint64_t Reader::file_size() const { return state->file.size(); }
uint64_t Reader::data_start() const { return state->contents.data_start; }
uint64_t Reader::alignment() const { return state->contents.alignment; }
uint32_t Reader::version() const { return state->contents.version; }
int Reader::descriptor() const { return state->file.descriptor(); }
const std::string& Reader::architecture() const { return state->contents.architecture; }
const std::vector<std::pair<std::string, Value>>& Reader::metadata() const { return state->contents.metadata; }
const std::vector<Tensor>& Reader::tensors() const { return state->contents.tensors; }

const Value* Reader::find(std::string_view key) const {
  const auto found = state->keys.find(key);
  return found == state->keys.end() ? nullptr : &state->contents.metadata[found->second].second;
}

const Tensor* Reader::tensor(std::string_view name) const {
  const auto found = state->names.find(name);
  return found == state->names.end() ? nullptr : &state->contents.tensors[found->second];
}

std::optional<uint64_t> Reader::integer(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto wide = wide_integer(value->type, value->bits)) {
    return wide->negative ? std::nullopt : std::optional<uint64_t>(wide->magnitude_bits);
  }
  const auto real = floating(value->type, value->bits);
  // 2^53: up to there every whole double is one integer only.
  if (!real || !(*real >= 0 && *real <= 9007199254740992.0) || *real != std::floor(*real)) return std::nullopt;
  return static_cast<uint64_t>(*real);
}

std::optional<double> Reader::number(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || value->type == ValueType::boolean) return std::nullopt;
  if (const auto real = floating(value->type, value->bits)) return real;
  const auto wide = wide_integer(value->type, value->bits);
  if (!wide) return std::nullopt;
  return wide->negative ? static_cast<double>(static_cast<int64_t>(wide->magnitude_bits))
                        : static_cast<double>(wide->magnitude_bits);
}

std::optional<bool> Reader::boolean(std::string_view key) const {
  const auto value = integer(key);
  if (!value || *value > 1) return std::nullopt;
  return *value == 1;
}

std::optional<std::string_view> Reader::string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr || value->type != ValueType::string) return std::nullopt;
  return value->text;
}

const std::vector<std::string_view>& Reader::strings(std::string_view key) const {
  static const std::vector<std::string_view> none;
  const Value* value = find(key);
  return value == nullptr ? none : value->strings;
}

std::vector<float> Reader::floats(std::string_view key) const {
  const Value* value = find(key);
  std::vector<float> result;
  if (value == nullptr || value->type != ValueType::array) return result;
  if (value->element != ValueType::f32 && value->element != ValueType::f64) return result;
  result.reserve(value->count);
  for (uint64_t i = 0; i < value->count; i++) {
    result.push_back(static_cast<float>(*floating(value->element, element_bits(*value, i))));
  }
  return result;
}

std::vector<int64_t> Reader::integers(std::string_view key) const {
  const Value* value = find(key);
  std::vector<int64_t> result;
  if (value == nullptr || value->type != ValueType::array || !wide_integer(value->element, 0)) return result;
  result.reserve(value->count);
  for (uint64_t i = 0; i < value->count; i++) {
    const WideInteger wide = *wide_integer(value->element, element_bits(*value, i));
    if (!wide.negative && wide.magnitude_bits > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
    result.push_back(static_cast<int64_t>(wide.magnitude_bits));
  }
  return result;
}

std::string Reader::hparam_key(std::string_view name) const {
  std::string key = architecture();
  key += '.';
  key += name;
  return key;
}

void Reader::read(const Tensor& tensor, uint64_t offset, uint64_t bytes, void* destination) const {
  if (offset > tensor.bytes || bytes > tensor.bytes - offset) {
    throw Failure(FailureCode::internal, "a read past the end of tensor " + printable(tensor.name));
  }
  const size_t got = state->file.read_at(tensor.offset + offset, destination, static_cast<size_t>(bytes));
  if (got != bytes) {
    throw broken("GGUF_TRUNCATED", "the file shrank while tensor " + printable(tensor.name) + " was read");
  }
}

bool Reader::is_healed() const { return state->indexed > 1; }

void Reader::set_integer(std::string_view key, uint32_t number) {
  Value value{};
  value.type = ValueType::u32;
  value.bits = number;
  state->set(key, std::move(value));
}

void Reader::set_number(std::string_view key, float number) {
  Value value{};
  value.type = ValueType::f32;
  std::memcpy(&value.bits, &number, sizeof number);
  state->set(key, std::move(value));
}

void Reader::set_boolean(std::string_view key, bool set) {
  Value value{};
  value.type = ValueType::boolean;
  value.bits = set ? 1 : 0;
  state->set(key, std::move(value));
}

void Reader::set_string(std::string_view key, std::string text) {
  Value value{};
  value.type = ValueType::string;
  value.text = state->keep(std::move(text));
  state->set(key, std::move(value));
}

void Reader::set_bytes(std::string_view key, std::string bytes) {
  const std::string_view kept = state->keep(std::move(bytes));
  Value value{};
  value.type = ValueType::array;
  value.element = ValueType::u8;
  value.count = kept.size();
  value.elements = reinterpret_cast<const uint8_t*>(kept.data());
  state->set(key, std::move(value));
}

void Reader::erase(std::string_view key) {
  const auto known = state->keys.find(key);
  if (known == state->keys.end()) return;
  auto& metadata = state->contents.metadata;
  metadata.erase(metadata.begin() + static_cast<std::ptrdiff_t>(known->second));
  state->reindex();
}

void Reader::rename_keys(std::string_view prefix, std::string_view replacement) {
  for (auto& [key, value] : state->contents.metadata) {
    if (std::string_view(key).substr(0, prefix.size()) == prefix) key.replace(0, prefix.size(), replacement);
  }
  state->reindex();
}

void Reader::rename_tensor(std::string_view name, std::string_view replacement) {
  const auto known = state->names.find(name);
  if (known == state->names.end()) return;
  state->contents.tensors[known->second].name = replacement;
  state->reindex();
}

}  // namespace inlay::gguf
