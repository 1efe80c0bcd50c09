#include "gguf_mutator.h"

#include <algorithm>

#include "gguf_models.h"

namespace inlay::gguf::test {

namespace {

// Values at the edges of every width, and those whose products or sums wrap.
uint64_t provoking_number(Random& random) {
  static const uint64_t numbers[] = {
      0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 512, 513, 4096, 65535, 65536, 1000000,
      0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, uint64_t{1} << 32, uint64_t{1} << 40, uint64_t{1} << 61, uint64_t{1} << 62,
      (uint64_t{1} << 62) - 1, (uint64_t{1} << 63) - 1, uint64_t{1} << 63, ~uint64_t{0} - 31, ~uint64_t{0},
  };
  const uint64_t edge = numbers[random.below(sizeof numbers / sizeof *numbers)];
  return random.below(4) == 0 ? random.next() >> random.below(64) : edge;
}

void flip_bytes(std::string& bytes, Random& random) {
  for (uint64_t i = 0; i <= random.below(8) && !bytes.empty(); i++) {
    bytes[random.below(bytes.size())] = static_cast<char>(random.next());
  }
}

void mutate_key(FileWriter& file, Random& random) {
  if (file.keys.empty()) return;
  auto& key = file.keys[random.below(file.keys.size())];
  switch (random.below(9)) {
    case 0: file.keys.erase(file.keys.begin() + static_cast<std::ptrdiff_t>(random.below(file.keys.size()))); break;
    case 1: file.keys.push_back(file.keys[random.below(file.keys.size())]); break;
    case 2: std::swap(key, file.keys[random.below(file.keys.size())]); break;
    case 3: key.type = static_cast<uint32_t>(random.below(14)); break;
    case 4: flip_bytes(key.name, random); break;
    case 5: flip_bytes(key.value, random); break;
    case 6: {  // a scalar, a length, or an array's element type and count
      const std::string number = raw(provoking_number(random));
      const size_t at = key.type == 9 && key.value.size() >= 12 && random.below(2) == 0 ? 4 : 0;
      const size_t bytes = std::min(number.size(), key.value.size() - at);
      key.value.replace(at, bytes, number.substr(0, bytes));
      break;
    }
    case 7: key.value.resize(random.below(key.value.size() + 1)); break;
    default: {
      const float floats[] = {0, -0.0f, -1, 1e-45f, 1e38f, 3e38f * 10, -3e38f * 10, (3e38f * 10) * 0};
      if (key.type == 6) key.value = raw(floats[random.below(8)]);
    }
  }
}

void mutate_tensor(FileWriter& file, Random& random) {
  if (file.tensors.empty()) return;
  auto& tensor = file.tensors[random.below(file.tensors.size())];
  switch (random.below(9)) {
    case 0:
      file.tensors.erase(file.tensors.begin() + static_cast<std::ptrdiff_t>(random.below(file.tensors.size())));
      break;
    case 1: file.tensors.push_back(file.tensors[random.below(file.tensors.size())]); break;
    case 2: std::swap(tensor, file.tensors[random.below(file.tensors.size())]); break;
    case 3: tensor.type = static_cast<uint32_t>(random.below(45)); break;
    case 4: flip_bytes(tensor.name, random); break;
    case 5: flip_bytes(tensor.data, random); break;
    case 6: tensor.shape[random.below(tensor.shape.size())] = provoking_number(random); break;
    case 7: tensor.shape.resize(random.below(6), 1); break;
    default: tensor.offset = provoking_number(random);
  }
}

void mutate_structure(FileWriter& file, Random& random) {
  switch (random.below(10)) {
    case 0: file.key_count = provoking_number(random); break;
    case 1: file.tensor_count = provoking_number(random); break;
    case 2: file.version = static_cast<uint32_t>(provoking_number(random)); break;
    case 3: file.alignment = uint64_t{1} << random.below(13); break;
    case 4:
    case 5:
    case 6: mutate_tensor(file, random); break;
    default: mutate_key(file, random);
  }
}

void mutate_bytes(std::string& bytes, Random& random) {
  if (bytes.empty()) return;
  switch (random.below(6)) {
    case 0: bytes.resize(random.below(bytes.size())); break;
    case 1: bytes.append(random.below(5000), static_cast<char>(random.next())); break;
    case 2: bytes.erase(random.below(bytes.size()), random.below(64)); break;
    case 3: bytes.insert(random.below(bytes.size()), bytes.substr(random.below(bytes.size()), random.below(256))); break;
    default: flip_bytes(bytes, random);
  }
}

}  // namespace

std::string mutated_file(uint64_t seed) {
  static const std::vector<FileWriter> models = [] {
    std::vector<FileWriter> list;
    for (const std::string& name : tiny_model_names()) list.push_back(tiny_model(name));
    return list;
  }();
  Random random(seed);
  FileWriter file = models[random.below(models.size())];
  const uint64_t faults = 1 + random.below(4);
  const uint64_t in_bytes = random.below(faults + 1);
  for (uint64_t i = in_bytes; i < faults; i++) mutate_structure(file, random);
  std::string bytes = file.bytes();
  for (uint64_t i = 0; i < in_bytes; i++) mutate_bytes(bytes, random);
  return bytes;
}

}  // namespace inlay::gguf::test
