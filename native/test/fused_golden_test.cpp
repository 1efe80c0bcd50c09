#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "fused_pass.h"
#include "fused_random.h"

// The golden vectors of the reference models, whose folder INLAY_REFERENCE names. Ids are the file's own, so that this
// tests the forward pass alone.
using namespace inlay;
using namespace inlay::test;

namespace {

struct Golden {
  std::string name;
  Ids ids;
  std::vector<double> vector;
};

// The numbers of the array that follows `key` after `at`, which moves behind it.
std::vector<double> numbers(const std::string& json, const std::string& key, size_t& at) {
  at = json.find("\"" + key + "\": [", at);
  if (at == std::string::npos) return {};
  at = json.find('[', at) + 1;
  std::vector<double> values;
  while (json[at] != ']') {
    char* end = nullptr;
    values.push_back(std::strtod(&json[at], &end));
    at = size_t(end - json.data());
    if (json[at] == ',') at++;
  }
  return values;
}

// Entries are {"name", "text", "ids", "embedding", ...}; some have a second pair, ids_hf and embedding_hf.
std::vector<Golden> read_golden(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const std::string json = text.str();
  std::vector<Golden> entries;
  for (const std::string suffix : {"", "_hf"}) {
    for (size_t at = 0;;) {
      const std::vector<double> ids = numbers(json, "ids" + suffix, at);
      if (at == std::string::npos) break;
      Golden entry;
      entry.name = std::to_string(entries.size());
      for (double id : ids) entry.ids.push_back(int32_t(id));
      entry.vector = numbers(json, "embedding" + suffix, at);
      entries.push_back(entry);
    }
  }
  return entries;
}

const char* reference_folder() { return std::getenv("INLAY_REFERENCE"); }

// On these models coarse precisions are much nearer than on random ones.
double tolerance_of(const Target& target) {
  const std::string precision = target.precision;
  return precision == "bf16" ? 5e-4 : precision == "int8" ? 1e-2 : target.tolerance;
}

}  // namespace

TEST_CASE("golden vectors on every instruction set of this machine" * doctest::skip(reference_folder() == nullptr)) {
  for (const char* name : {"tiny-bert-mean", "tiny-bert-cls", "tiny-nomic", "tiny-xlmr", "tiny-gemma-embedding",
                           "tiny-qwen3", "tiny-modern-bert"}) {
    const std::string path = std::string(reference_folder()) + "/" + name;
    const std::vector<Golden> golden = read_golden(path + ".json");
    REQUIRE(golden.size() >= 15);
    const auto file = gguf::Reader::open(path + ".gguf");
    for (const Target& target : targets()) {
      const fused::Model model = load(*file, target);
      CHECK(model.kernels == target.table);
      std::vector<Ids> texts;
      for (const Golden& entry : golden) texts.push_back(entry.ids);
      const std::vector<Vector> vectors = embed(model, texts);
      double worst = 0;
      for (size_t i = 0; i < golden.size(); i++) worst = std::fmax(worst, distance(vectors[i], golden[i].vector));
      INFO(std::string(name) << " " << target.name());
      CHECK(worst <= tolerance_of(target));
      MESSAGE(std::string(name) << " " << target.name() << ": max 1-cos " << worst << " over " << golden.size() << " texts");
    }
  }
}
