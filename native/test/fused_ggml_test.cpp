#include <doctest/doctest.h>
#include <ggml.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "engine/ggml/ggml_engine.h"
#include "failure.h"
#include "fused_random.h"
#include "tokenizer/tokenizer.h"

using namespace inlay;
using namespace inlay::test;

// The fused engine against llama.cpp on the same files: random architectures, sizes, types and lengths. The two share
// no code but the reader, so that what they agree on is what the file says. Where the weights are narrow, llama.cpp
// narrows the activations too, which moves its vectors by more than a mistake might; there its F32 copy of the same
// weights is the judge, and the file itself is held to how far such rounding goes.

namespace {

// How a quantiser would store a file.
struct Recipe {
  const char* name;
  TensorType most;
  TensorType some;   // of the value projections and the FFN's output, which mixed recipes keep finer
  double rounding;   // 1 - cosine between llama.cpp's vectors and those of exact products, over small random models
};
const Recipe recipes[] = {
    {"F32", TensorType::f32, TensorType::f32, 1e-3},    {"F16", TensorType::f16, TensorType::f16, 3e-3},
    {"BF16", TensorType::bf16, TensorType::bf16, 1e-2}, {"Q8_0", TensorType::q8_0, TensorType::q8_0, 0.1},
    {"Q4_0", TensorType::q4_0, TensorType::q4_0, 0.1},  {"Q4_K_M", TensorType::q4_k, TensorType::q6_k, 0.1},
};

// llama.cpp's own on F32 weights: attention adds up in half precision, GELU comes from a table of half floats.
constexpr double llama_rounding = 5e-3, usual_llama_rounding = 5e-5;
constexpr double bf16_rounding = 5e-3;

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Matrices whose rows are no multiple of a type's blocks become F16, and routers stay F32, as quantisers do it. `exact`
// gets the same weights as F32.
void quantise(gguf::test::FileWriter& file, gguf::test::FileWriter& exact, const Recipe& recipe) {
  for (auto& tensor : file.tensors) {
    const bool matrix = tensor.name == "token_embd.weight" || tensor.name.rfind("dense_", 0) == 0 ||
                        (tensor.name.rfind("blk.", 0) == 0 && tensor.shape.size() >= 2);
    if (!matrix || ends_with(tensor.name, "ffn_gate_inp.weight")) continue;
    const bool finer = ends_with(tensor.name, "attn_v.weight") || ends_with(tensor.name, "ffn_down.weight") ||
                       ends_with(tensor.name, "ffn_down_exps.weight");
    ggml_type type = ggml_type(finer ? recipe.some : recipe.most);
    const int64_t columns = int64_t(tensor.shape[0]), rows = int64_t(tensor.data.size() / sizeof(float)) / columns;
    if (columns % ggml_blck_size(type) != 0) type = GGML_TYPE_F16;
    std::string bytes(ggml_row_size(type, columns) * size_t(rows), '\0');
    const auto* weights = reinterpret_cast<const float*>(tensor.data.data());
    ggml_quantize_chunk(type, weights, bytes.data(), 0, rows, columns, nullptr);
    auto* widened = reinterpret_cast<float*>(exact.tensor(tensor.name).data.data());
    if (const auto widen = ggml_get_type_traits(type)->to_float) widen(bytes.data(), widened, columns * rows);
    tensor.type = uint32_t(type);
    tensor.data = std::move(bytes);
  }
}

// The keys that llama.cpp needs beyond the fused engine's, and no bias that it reads past.
void complete(gguf::test::FileWriter& file, const ModelSpec& spec) {
  const auto key = [&](const char* name) { return spec.architecture + "." + name; };
  file.text("tokenizer.ggml.model", "no_vocab");
  file.u32("tokenizer.ggml.token_type_count", 2);
  file.u32(key("vocab_size"), spec.vocabulary);
  if (spec.dense_inner != 0) {
    file.u32(key("dense_2_feat_in"), spec.width);
    file.u32(key("dense_3_feat_in"), spec.dense_inner);
  }
  for (uint32_t i = 0; i < spec.layers && spec.is("nomic-bert"); i++) {
    for (const char* part : {".ffn_gate.bias", ".ffn_up.bias", ".ffn_down.bias"}) {
      file.remove_tensor("blk." + std::to_string(i) + part);
    }
  }
  if (!spec.is("qwen3")) file.boolean(key("attention.causal"), false);
}

ModelSpec random_case(Generator& bits) {
  ModelSpec spec = random_spec(architectures[whole(bits, 0, int32_t(std::size(architectures)) - 1)], bits);
  spec.type = TensorType::f32;  // until it is quantised
  spec.context = 2048;
  if (spec.is("jina-bert-v2")) spec.biased = true;
  if (spec.is("modern-bert")) spec.fused_qkv = true;
  spec.experts_used = spec.experts;  // rounding may tip a choice among them, which fused_test.cpp judges in double
  if (spec.window != 0) {  // layers of both kinds, without which llama.cpp ends the process
    spec.window_pattern = uint32_t(whole(bits, 2, 3));
    spec.layers = uint32_t(whole(bits, int32_t(spec.window_pattern), 4));
  }
  // Widths that quantised blocks fit, as often as not.
  if (whole(bits, 0, 1) != 0) {
    const uint32_t block = whole(bits, 0, 1) != 0 ? 256 : 32;
    spec.ffn = block * uint32_t(whole(bits, 1, 3));
    if (spec.heads == spec.kv_heads && !spec.is("qwen3") && !spec.is("gemma-embedding")) {
      spec.heads = spec.kv_heads = block == 256 ? 4 : uint32_t(whole(bits, 1, 3));
      spec.head_size = block == 256 ? 64 : 32;
      spec.width = spec.heads * spec.head_size;
    } else {
      spec.width = block;
    }
  }
  return spec;
}

// A few tokens as a rule, now and then as many as a long text has.
int32_t random_length(Generator& bits) {
  const double exponent = std::uniform_real_distribution<double>(0, 1)(bits);
  return int32_t(std::exp2(11 * exponent * exponent * exponent));
}

// llama.cpp's tokenizer of a file without a vocabulary: nothing here asks it.
class NoTokenizer final : public Tokenizer {
 public:
  void encode(std::string_view, bool, std::vector<int32_t>&) const override {}
};

std::vector<Vector> embed_with_ggml(const std::string& path, const std::vector<Ids>& texts) {
  const auto engine = create_ggml_engine(gguf::Reader::open(path), std::make_unique<NoTokenizer>(), LoadOptions(), {});
  std::vector<Vector> vectors(texts.size(), Vector(size_t(engine->info().dimensions)));
  const std::vector<SequenceView> views = views_of(texts, vectors);
  int32_t longest = 1;
  for (const Ids& ids : texts) longest = std::max(longest, int32_t(ids.size()));
  const auto workspace = engine->create_workspace(longest);
  ThreadTeam team(1);
  engine->forward(*workspace, views.data(), int32_t(views.size()), team, std::atomic<bool>{false});
  return vectors;
}

}  // namespace

TEST_CASE("random models give the vectors that llama.cpp gives, over the types of files") {
  const char* wanted = std::getenv("INLAY_DIFFERENTIAL_MODELS");
  const int models = wanted == nullptr ? 60 : std::atoi(wanted);
  Generator bits(21);
  struct Found {
    double worst = 0, sum = 0, worst_of_file = 0;
    int cases = 0;
  };
  std::map<std::string, Found> found;
  int cases = 0;
  // The scalar table is slow and bytes are coarse; fused_test.cpp compares both.
  std::vector<Target> tables;
  for (const Target& target : targets()) {
    const bool bytes = target.precision == std::string("int8");
    if (!bytes && target.table->isa != kernels::Isa::scalar) tables.push_back(target);
  }
  for (int round = 0; round < models; round++) {
    const ModelSpec spec = random_case(bits);
    const Recipe& recipe = recipes[round % std::size(recipes)];
    auto file = ModelWriter(spec, uint32_t(round) + 1).file;
    complete(file, spec);
    auto exact = file;
    quantise(file, exact, recipe);
    const TemporaryFile path(file.bytes());
    std::vector<Ids> texts;
    for (int i = 0; i < 8; i++) texts.push_back(random_ids(bits, random_length(bits), spec));
    const std::vector<Vector> same = embed_with_ggml(path.path(), texts);
    const std::vector<Vector> judge = embed_with_ggml(TemporaryFile(exact.bytes()).path(), texts);
    const auto reader = gguf::Reader::open(path.path());
    for (const Target& target : tables) {
      const double own = target.table->layout == kernels::Layout::f32_rows ? 0 : bf16_rounding;
      const std::vector<Vector> vectors = embed(load(*reader, target), texts);
      for (size_t i = 0; i < texts.size(); i++) {
        const double off = distance(vectors[i], judge[i]), file_off = distance(vectors[i], same[i]);
        INFO(spec.architecture << " " << std::string(recipe.name) << " round " << round << " on "
                               << std::string(target.table->name) << ", " << texts[i].size() << " tokens, width "
                               << spec.width << ", heads " << spec.heads << " of " << spec.head_size << ", ffn "
                               << spec.ffn << ", layers " << spec.layers);
        CHECK(off <= llama_rounding + own);
        CHECK(file_off <= recipe.rounding + own);
        Found& here = found[std::string(recipe.name) + " on " + target.table->name];
        here.worst = std::max(here.worst, off);
        here.worst_of_file = std::max(here.worst_of_file, file_off);
        here.sum += std::max(0.0, off - own);
        here.cases++;
        cases++;
      }
    }
  }
  for (const auto& [where, here] : found) {
    MESSAGE(where << ": 1 - cosine up to " << here.worst << ", from the file itself " << here.worst_of_file);
    CHECK(here.sum / here.cases <= usual_llama_rounding);
  }
  MESSAGE(cases << " vectors compared");
}
