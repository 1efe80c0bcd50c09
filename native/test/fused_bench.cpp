// Speed of the fused forward pass on synthetic models of published shapes.
//   fused_bench [shape] [tokens-per-text] [texts] [threads]
// Prints tokens/s, GFLOP/s, and the share of what a loop of multiply-adds in registers reaches in the same run.
// Environment: INLAY_ISA picks the kernels, INLAY_PRECISION auto | f32 | bf16 | int8, INLAY_WEIGHTS f16 | f32,
// INLAY_MICRO_BATCH tokens of a pass.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>

#include "engine/fused/cost.h"
#include "fused_models.h"
#include "fused_pass.h"
#include "kernels/ceiling.h"

using namespace inlay;
using namespace inlay::test;

namespace {

// Of this thread, so that a busy machine does not look like a slow one.
double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ModelSpec shape_named(const std::string& name) {
  ModelSpec s;
  s.type = TensorType::f16;
  const char* weights = std::getenv("INLAY_WEIGHTS");
  if (weights != nullptr && std::strcmp(weights, "f32") == 0) s.type = TensorType::f32;
  s.vocabulary = 30522;
  if (name == "base" || name == "nomic") {
    s.width = 768;
    s.layers = 12;
    s.heads = s.kv_heads = 12;
    s.head_size = 64;
    s.ffn = 3072;
    if (name == "nomic") {
      s.architecture = "nomic-bert";
      s.biased = false;
      s.fused_qkv = true;
      s.context = 2048;
    }
  } else if (name == "gemma") {
    s = {"gemma-embedding", 768, 24, 3, 1, 256, 1152, 2048, 30000, 512, 6, 1, 3072, false, false, s.type};
  } else if (name == "qwen3") {
    s = {"qwen3", 1024, 28, 16, 8, 128, 3072, 2048, 30000, 0, 0, 3, 0, false, false, s.type};
  } else if (name == "modern") {
    s = {"modern-bert", 768, 22, 12, 12, 64, 1152, 8192, 30000, 128, 3, 2, 0, false, true, s.type};
  }
  return s;
}

std::vector<Ids> random_texts(int32_t texts, int32_t length, int32_t vocabulary) {
  std::vector<Ids> all;
  uint32_t state = 1;
  const auto next = [&] {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
  };
  for (int32_t i = 0; i < texts; i++) {
    int32_t tokens = length;
    if (length == 0) {  // mixed: log-normal about 64, 2 to 512
      const double normal = (double(next() % 1000) + double(next() % 1000) + double(next() % 1000) - 1500) / 500;
      tokens = std::min(512, std::max(2, int32_t(64 * std::exp(normal))));
    }
    Ids ids;
    for (int32_t t = 0; t < tokens; t++) ids.push_back(int32_t(next() % uint32_t(vocabulary)));
    all.push_back(ids);
  }
  return all;
}

// Micro-batches of about `tokens` tokens of texts sorted by length, as the runtime makes them.
std::vector<std::vector<Ids>> micro_batches(std::vector<Ids> texts, int32_t tokens) {
  std::stable_sort(texts.begin(), texts.end(), [](const Ids& a, const Ids& b) { return a.size() > b.size(); });
  std::vector<std::vector<Ids>> batches;
  int32_t filled = tokens;
  for (const Ids& ids : texts) {
    if (filled + int32_t(ids.size()) > tokens) {
      batches.emplace_back();
      filled = 0;
    }
    batches.back().push_back(ids);
    filled += int32_t(ids.size());
  }
  return batches;
}

using Batches = std::vector<std::vector<Ids>>;
constexpr double measured_seconds = 4;

// The mean time of all batches, of this thread, and the ceiling's mean rate, taken in turns: what a busy machine or a
// hypervisor takes away falls on both alike.
struct Alone {
  double seconds;
  double ceiling;
};

Alone measure_alone(const fused::Model& model, const Batches& batches, int32_t largest) {
  fused::FusedWorkspace workspace(model, largest);
  double seconds = 0, ceiling_seconds = 0;
  int32_t rounds = 0, ceilings = 0;
  const Clock::time_point start = Clock::now();
  do {
    for (const std::vector<Ids>& batch : batches) {
      const double before = thread_seconds();
      embed(model, workspace, batch);
      seconds += thread_seconds() - before;
      ceiling_seconds += 1e-9 / kernels::fma_ceiling_gflops(model.kernels->isa);
      ceilings++;
    }
    rounds++;
  } while (seconds_since(start) < measured_seconds);
  return {seconds / rounds, ceilings / ceiling_seconds};
}

// The least that all batches take on several threads: each takes batches off a counter, or, where there is only one
// text, its pass is split.
double wall_seconds(const fused::Model& model, const Batches& batches, int32_t largest, int32_t threads) {
  double best = 1e9;
  std::vector<std::unique_ptr<fused::FusedWorkspace>> workspaces;
  for (int32_t i = 0; i < threads; i++) workspaces.push_back(std::make_unique<fused::FusedWorkspace>(model, largest));
  const bool split = batches.size() == 1;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point round = Clock::now();
    std::atomic<size_t> next{0};
    const auto work = [&](fused::FusedWorkspace& workspace) {
      for (size_t i = next++; i < batches.size(); i = next++) {
        embed(model, workspace, batches[i], split ? threads : 1);
      }
    };
    std::vector<std::thread> others;
    for (int32_t t = 1; t < threads && !split; t++) others.emplace_back(work, std::ref(*workspaces[size_t(t)]));
    work(*workspaces[0]);
    for (std::thread& other : others) other.join();
    best = std::min(best, seconds_since(round));
  } while (seconds_since(start) < measured_seconds);
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "minilm";
  const int32_t length = argc > 2 ? std::atoi(argv[2]) : 128;
  const int32_t count = argc > 3 ? std::atoi(argv[3]) : 32;
  const int32_t threads = argc > 4 ? std::atoi(argv[4]) : 1;
  const ModelSpec spec = shape_named(name);
  const TemporaryFile path(ModelWriter(spec, 1).file.bytes());

  LoadOptions options;
  if (const char* precision = std::getenv("INLAY_PRECISION")) options.precision = precision;
  const Clock::time_point loading = Clock::now();
  const auto file = gguf::Reader::open(path.path());
  const fused::Model model = fused::load_model(*file, options);
  const double load = seconds_since(loading);
  const double rate = fused::measure_rate(*model.kernels, model.weights.layer_panels);
  fused::Cost cost = fused::estimate_cost(model, rate);
  if (const char* wanted = std::getenv("INLAY_MICRO_BATCH")) cost.micro_batch_tokens = std::atoi(wanted);
  std::printf("%s %s: load %.1f ms, weights %.0f MB, micro-batch %d tokens, split from %d tokens\n", name.c_str(),
              model.kernels->name, load * 1e3, double(model.weights.memory.size()) / 1e6, cost.micro_batch_tokens,
              cost.split_tokens);

  const std::vector<Ids> texts = random_texts(count, length, int32_t(spec.vocabulary));
  const auto batches = micro_batches(texts, std::max(cost.micro_batch_tokens, length));
  const int32_t tokens = total_tokens(texts);
  int32_t largest = 0;
  double attention = 0;  // operations, all pairs of a text
  for (const auto& batch : batches) largest = std::max(largest, total_tokens(batch));
  for (const Ids& ids : texts) {
    attention += 4.0 * double(ids.size()) * double(ids.size()) * model.shape.attention_width() * model.shape.layers;
  }
  for (const auto& table : model.rotations) table->fill(512);

  Alone measured = {};
  if (threads == 1) measured = measure_alone(model, batches, largest);
  else measured = {wall_seconds(model, batches, largest, threads), 1e9 * kernels::fma_ceiling_gflops(model.kernels->isa)};
  const double seconds = measured.seconds, ceiling = measured.ceiling;
  const double operations = model.weights.flops_per_token * tokens + attention;
  std::printf("%d texts, %d tokens, %d threads: %.3f ms %s, %.0f tokens/s, %.1f GFLOP/s (%.0f %% of %d x %.1f)\n",
              count, tokens, threads, seconds * 1e3, threads == 1 ? "of CPU time" : "of wall time", tokens / seconds,
              operations / seconds * 1e-9, 100 * operations / seconds / (ceiling * threads), threads, ceiling * 1e-9);
  return 0;
}
