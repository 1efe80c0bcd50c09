#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "engine/fused/fused.h"
#include "engine/fused/routing.h"
#include "failure.h"
#include "fused_models.h"
#include "fused_pass.h"
#include "fused_random.h"
#include "fused_reference.h"

using namespace inlay;
using namespace inlay::test;

namespace {

FailureCode failure_of(const gguf::test::FileWriter& writer) {
  const TemporaryFile path(writer.bytes());
  const auto file = gguf::Reader::open(path.path());
  try {
    fused::load_model(*file, LoadOptions());
  } catch (const Failure& failure) {
    CHECK(!failure.message.empty());
    return failure.code;
  }
  FAIL("the model was loaded");
  return FailureCode::internal;
}

ModelSpec small_bert() {
  ModelSpec spec;
  spec.width = 64;
  spec.layers = 2;
  spec.heads = spec.kv_heads = 2;
  spec.ffn = 96;
  spec.context = 64;
  spec.vocabulary = 50;
  return spec;
}

ModelSpec small_moe() {
  ModelSpec spec = small_bert();
  spec.architecture = "nomic-bert-moe";
  spec.experts = 4;
  spec.experts_used = spec.experts_every = 2;
  return spec;
}

}  // namespace

TEST_CASE("every architecture agrees with the double-precision reference over odd shapes") {
  Generator bits(11);
  for (const char* architecture : architectures) {
    for (int round = 0; round < 6; round++) {
      const ModelSpec spec = random_spec(architecture, bits);
      const TemporaryFile path(ModelWriter(spec, uint32_t(round) + 1).file.bytes());
      const auto file = gguf::Reader::open(path.path());
      CHECK(fused_supports(*file));
      Reference reference(*file);
      std::vector<Ids> texts;
      std::vector<std::vector<double>> expected;
      for (int32_t length : {1, 2, whole(bits, 3, 40), whole(bits, 60, 130)}) {
        texts.push_back(random_ids(bits, length, spec));
        expected.push_back(reference.embed(texts.back()));
      }
      for (const Target& target : targets()) {
        const fused::Model model = load(*file, target, round % 2 == 1);
        const std::vector<Vector> vectors = embed(model, texts);
        for (size_t i = 0; i < texts.size(); i++) {
          INFO(std::string(architecture) << " round " << round << " on " << target.name() << ", " << texts[i].size()
                            << " tokens, width " << spec.width << ", head size " << spec.head_size);
          CHECK(distance(vectors[i], expected[i]) <= target.tolerance);
        }
      }
    }
  }
}

TEST_CASE("a text's vector is the same bits alone, in any batch, in any order, split over any team") {
  Generator bits(12);
  for (const Target& target : targets()) {
    for (const char* architecture : architectures) {
      ModelSpec spec = random_spec(architecture, bits);
      spec.layers = 2;
      if (spec.experts != 0) spec.experts_every = 2;  // the last layer is a mixture
      const TemporaryFile path(ModelWriter(spec, 5).file.bytes());
      const auto file = gguf::Reader::open(path.path());
      const fused::Model model = load(*file, target);
      std::vector<Ids> texts;
      std::vector<Vector> alone;
      for (int i = 0; i < 10; i++) {
        const int32_t length = i == 0 ? 270 : whole(bits, 1, i < 4 ? 100 : 24);
        texts.push_back(random_ids(bits, length, spec));
        alone.push_back(embed(model, {texts.back()}).front());
      }
      fused::FusedWorkspace workspace(model, total_tokens(texts));
      const bool few = target.table->isa == kernels::Isa::scalar || target.precision == std::string("int8");
      const int rounds = few ? 6 : 40;
      for (int round = 0; round < rounds; round++) {
        std::vector<size_t> chosen(texts.size());
        for (size_t i = 0; i < chosen.size(); i++) chosen[i] = i;
        std::shuffle(chosen.begin(), chosen.end(), bits);
        chosen.resize(size_t(whole(bits, 1, int32_t(texts.size()))));
        std::vector<Ids> batch;
        for (size_t i : chosen) batch.push_back(texts[i]);
        const int32_t threads = round % 4 == 0 ? whole(bits, 2, 5) : 1;
        const std::vector<Vector> vectors = embed(model, workspace, batch, threads);
        for (size_t i = 0; i < chosen.size(); i++) {
          INFO(std::string(architecture) << " on " << target.name() << ", round " << round << ", " << threads << " threads, "
                            << batch[i].size() << " tokens");
          const Vector& expected = alone[chosen[i]];
          CHECK(std::memcmp(vectors[i].data(), expected.data(), expected.size() * sizeof(float)) == 0);
        }
      }
    }
  }
}

TEST_CASE("weights that bytes hold badly stay floats where the precision is int8") {
  ModelSpec spec = small_bert();
  auto file = ModelWriter(spec, 1).file;
  // The identity less a small part of every column, which is below half a step of a byte.
  std::vector<float> centering(size_t(spec.width * spec.width), -1.0f / 130);
  for (size_t i = 0; i < spec.width; i++) centering[i * spec.width + i] += 1;
  std::string& data = file.tensor("blk.1.attn_output.weight").data;
  REQUIRE(data.size() == centering.size() * sizeof(float));
  std::memcpy(data.data(), centering.data(), data.size());
  const TemporaryFile path(file.bytes());
  LoadOptions options;
  options.precision = "int8";
  const fused::Model model = fused::load_model(*gguf::Reader::open(path.path()), options);
  const auto& layers = model.weights.layers;
  CHECK(layers[0].attention_out.type == kernels::PanelType::int8);
  CHECK(layers[1].attention_out.type == kernels::PanelType::native);
  CHECK(layers[1].qkv.type == kernels::PanelType::int8);
}

TEST_CASE("a router chooses the experts of the highest logits, of equals the first") {
  const float logits[] = {1, 3, 3, -INFINITY, 3, 2};
  int32_t chosen[6];
  float weights[6];
  fused::choose_experts(logits, 6, 2, chosen, weights);
  CHECK((chosen[0] == 1 && chosen[1] == 2));
  const double total = 3 * std::exp(0.0) + std::exp(-1.0) + std::exp(-2.0);
  CHECK(weights[0] == float(1 / total));
  fused::choose_experts(logits, 6, 4, chosen, weights);
  CHECK((chosen[0] == 1 && chosen[1] == 2 && chosen[2] == 4 && chosen[3] == 5));
  CHECK(weights[3] == float(std::exp(-1.0) / total));
  fused::choose_experts(logits, 6, 6, chosen, weights);
  for (int32_t i = 0; i < 6; i++) CHECK(chosen[i] == i);
  CHECK(weights[3] == 0);
}

TEST_CASE("a token's cost counts the experts it uses, not those there are") {
  ModelSpec spec = small_moe();
  const auto flops = [&] {
    const TemporaryFile path(ModelWriter(spec, 1).file.bytes());
    return fused::load_model(*gguf::Reader::open(path.path()), LoadOptions()).weights.flops_per_token;
  };
  const double before = flops();
  spec.experts += 3;
  CHECK(flops() - before == doctest::Approx(2.0 * 3 * spec.width));  // the router's
  spec.experts_used++;
  CHECK(flops() - before == doctest::Approx(2.0 * 3 * spec.width + 4.0 * spec.width * spec.ffn));
}

TEST_CASE("a pass ends with Failure(aborted) once it is cancelled") {
  const TemporaryFile path(ModelWriter(small_bert(), 1).file.bytes());
  const auto file = gguf::Reader::open(path.path());
  const fused::Model model = fused::load_model(*file, LoadOptions());
  fused::FusedWorkspace workspace(model, 3);
  const Ids ids = {1, 2, 3};
  Vector row(64);
  const SequenceView view = {ids.data(), 3, row.data()};
  ThreadTeam team(1);
  const std::atomic<bool> cancelled{true};
  CHECK_THROWS_AS(fused::forward(model, workspace, &view, 1, team, false, cancelled), Failure);
}

TEST_CASE("files that cannot be served are refused with a coded failure") {
  SUBCASE("a missing tensor") {
    auto file = ModelWriter(small_bert(), 1).file;
    file.remove_tensor("blk.1.ffn_up.weight");
    CHECK(failure_of(file) == FailureCode::model_invalid);
  }
  SUBCASE("a tensor of another shape") {
    auto file = ModelWriter(small_bert(), 1).file;
    file.tensor("blk.0.attn_output_norm.weight").shape = {32};
    file.tensor("blk.0.attn_output_norm.weight").data.resize(128);
    CHECK(failure_of(file) == FailureCode::model_invalid);
  }
  SUBCASE("a weight that is not a number") {
    for (TensorType type : {TensorType::f32, TensorType::f16}) {
      ModelSpec spec = small_bert();
      spec.type = type;
      auto file = ModelWriter(spec, 1).file;
      std::string& data = file.tensor("blk.1.ffn_down.weight").data;
      data[data.size() - 1] = '\x7f';
      data[data.size() - 2] = '\xff';
      CHECK(failure_of(file) == FailureCode::model_invalid);
    }
  }
  SUBCASE("an infinite bias") {
    auto file = ModelWriter(small_bert(), 1).file;
    const float infinite = INFINITY;
    std::memcpy(file.tensor("blk.0.attn_k.bias").data.data(), &infinite, 4);
    CHECK(failure_of(file) == FailureCode::model_invalid);
  }
  SUBCASE("an architecture that is not known") {
    auto file = ModelWriter(small_bert(), 1).file;
    file.text("general.architecture", "mamba");
    CHECK(failure_of(file) == FailureCode::model_unsupported);
  }
  SUBCASE("a tensor that would change the result and is not known") {
    ModelSpec spec = small_bert();
    spec.architecture = "jina-bert-v2";
    auto file = ModelWriter(spec, 1).file;
    file.tensors.push_back(file.tensor("blk.0.attn_output_norm.weight"));
    file.tensors.back().name = "blk.0.attn_norm_2.weight";
    CHECK(failure_of(file) == FailureCode::model_unsupported);
    const TemporaryFile path(file.bytes());
    CHECK_FALSE(fused_supports(*gguf::Reader::open(path.path())));
  }
  SUBCASE("a scaling of positions that is not known") {
    ModelSpec spec = small_bert();
    spec.architecture = "nomic-bert";
    auto file = ModelWriter(spec, 1).file;
    file.text("nomic-bert.rope.scaling.type", "yarn");
    CHECK(failure_of(file) == FailureCode::model_unsupported);
  }
  SUBCASE("experts of another shape") {
    const ModelSpec spec = small_moe();
    for (const char* name : {"blk.1.ffn_up_exps.weight", "blk.1.ffn_down_exps.weight", "blk.1.ffn_gate_inp.weight"}) {
      for (size_t dimension = 0; dimension < 3; dimension++) {
        auto file = ModelWriter(spec, 1).file;
        auto& tensor = file.tensor(name);
        if (dimension == tensor.shape.size()) continue;
        tensor.shape[dimension] /= 2;
        tensor.data.resize(tensor.data.size() / 2);
        INFO(name << ", dimension " << dimension);
        CHECK(failure_of(file) == FailureCode::model_invalid);
      }
    }
    auto file = ModelWriter(spec, 1).file;
    file.u32("nomic-bert-moe.expert_used_count", 5);
    CHECK(failure_of(file) == FailureCode::model_invalid);
    file = ModelWriter(spec, 1).file;
    file.f32("nomic-bert-moe.expert_weights_scale", 2.5f);
    CHECK(failure_of(file) == FailureCode::model_unsupported);
  }
  SUBCASE("biases of experts") {
    auto file = ModelWriter(small_moe(), 1).file;
    file.tensors.push_back(file.tensor("blk.0.ffn_up.bias"));
    file.tensors.back().name = "blk.1.ffn_up_exps.bias";
    CHECK(failure_of(file) == FailureCode::model_unsupported);
  }
  SUBCASE("sizes that contradict each other") {
    auto file = ModelWriter(small_bert(), 1).file;
    file.u32("bert.attention.head_count", 3);
    CHECK(failure_of(file) == FailureCode::model_invalid);
  }
}
