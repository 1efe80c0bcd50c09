#include "engine/fused/cost.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>

#include "engine/fused/memory.h"

#if defined(__linux__)
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace inlay::fused {
namespace {

// What a core reads from memory while the others do too, bytes per second: the lower end of today's servers.
constexpr double memory_rate = 8e9;
constexpr double batch_seconds = 0.015;
// Handing a helper its share of a step and meeting it again at the end, about; more where it is called away.
constexpr double step_seconds = 40e-6;
constexpr int32_t steps_per_layer = 7;

}  // namespace

int64_t level2_cache_bytes() {
  int64_t bytes = 0;
#if defined(__linux__) && defined(_SC_LEVEL2_CACHE_SIZE)
  bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#elif defined(__APPLE__)
  size_t length = sizeof(bytes);
  if (sysctlbyname("hw.l2cachesize", &bytes, &length, nullptr, 0) != 0) bytes = 0;
#endif
  return bytes > 0 ? bytes : int64_t(1) << 20;
}

double measure_rate(const kernels::Kernels& kernels, kernels::PanelType type) {
  static std::mutex measuring;
  static double rates[size_t(kernels::Isa::amx_bf16) + 1][2] = {};
  const std::lock_guard<std::mutex> lock(measuring);
  double& rate = rates[size_t(kernels.isa)][type == kernels::PanelType::int8];
  if (rate > 0) return rate;

  constexpr int32_t rows = 48, depth = 256, columns = 128;
  const int32_t panels = kernels::panel_count(kernels, columns, false);
  Arena sizes;
  const auto place = [&](Arena& arena, kernels::Product& p) {
    p.a = arena.take_bytes(kernels::activation_bytes(kernels.layout, rows, depth));
    p.panels = arena.take_bytes(uint64_t(panels) * kernels::panel_bytes(kernels, type, depth));
    p.out = arena.take_bytes(kernels::activation_bytes(kernels.layout, rows, columns));
    p.scratch = arena.take_bytes(kernels.product_scratch(type, depth));
  };
  kernels::Product p = {};
  p.depth = depth;
  p.columns = columns;
  p.panel_type = type;
  place(sizes, p);
  const Memory memory(sizes.taken());
  Arena arena(memory);
  place(arena, p);

  if (kernels.enter != nullptr) kernels.enter();
  using Clock = std::chrono::steady_clock;
  const double flops = 2.0 * rows * depth * columns;
  double best = 1e8;  // no CPU of today is slower, and a rate must not be zero
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point before = Clock::now();
    kernels.product(p, 0, rows, 0, panels);
    const double seconds = std::chrono::duration<double>(Clock::now() - before).count();
    if (seconds > 0) best = std::max(best, flops / seconds);
  } while (Clock::now() - start < std::chrono::microseconds(800));
  if (kernels.leave != nullptr) kernels.leave();
  rate = best;
  return rate;
}

Cost estimate_cost(const Model& model, double rate) {
  const double flops = std::max(1.0, model.weights.flops_per_token);
  // Weights stream through the cache once a pass; enough tokens that computing takes four times as long as that.
  const double weight_bytes = double(model.weights.memory.size()) - double(model.weights.table_bytes);
  const double streaming = 4.0 * std::max(0.0, weight_bytes) / memory_rate;
  const double seconds = std::max(batch_seconds, streaming);
  const double tokens = std::min(std::max(seconds * rate / flops, 16.0), 4096.0);
  // Two threads save half of a pass; that must be worth more than its steps cost.
  const double split = 2 * step_seconds * steps_per_layer * double(model.shape.layers) * rate / flops;
  return {(int32_t(tokens) + 15) / 16 * 16, int32_t(std::min(std::max(split, 8.0), 1e6))};
}

}  // namespace inlay::fused
