#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/fused/forward.h"
#include "engine/fused/model.h"
#include "engine/fused/workspace.h"

namespace inlay::test {

// A team of threads that come and go: each task goes to whoever takes it first.
class ThreadTeam final : public Team {
 public:
  explicit ThreadTeam(int32_t count) : count(count) {}

  void run(int32_t tasks, void (*task)(void* context, int32_t index), void* context) override {
    std::atomic<int32_t> next{0};
    const auto work = [&] {
      for (int32_t i = next++; i < tasks; i = next++) task(context, i);
    };
    std::vector<std::thread> others;
    for (int32_t i = 1; i < count; i++) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
  }
  int32_t threads() const override { return count; }

 private:
  int32_t count;
};

using Ids = std::vector<int32_t>;
using Vector = std::vector<float>;

inline int32_t total_tokens(const std::vector<Ids>& texts) {
  int32_t tokens = 0;
  for (const Ids& ids : texts) tokens += int32_t(ids.size());
  return tokens;
}

// One view of each text, whose vector goes to its row of `vectors`.
inline std::vector<SequenceView> views_of(const std::vector<Ids>& texts, std::vector<Vector>& vectors) {
  std::vector<SequenceView> views;
  for (size_t i = 0; i < texts.size(); i++) {
    views.push_back({texts[i].data(), int32_t(texts[i].size()), vectors[i].data()});
  }
  return views;
}

// The vectors of `texts` from one pass, in the order given; split over a team where it has more than one thread.
inline std::vector<Vector> embed(const fused::Model& model, fused::FusedWorkspace& workspace,
                                 const std::vector<Ids>& texts, int32_t threads = 1) {
  std::vector<Vector> vectors(texts.size(), Vector(size_t(model.shape.output_width())));
  const std::vector<SequenceView> views = views_of(texts, vectors);
  ThreadTeam team(threads);
  const std::atomic<bool> cancelled{false};
  fused::forward(model, workspace, views.data(), int32_t(views.size()), team, threads > 1, cancelled);
  return vectors;
}

inline std::vector<Vector> embed(const fused::Model& model, const std::vector<Ids>& texts, int32_t threads = 1) {
  const int32_t tokens = total_tokens(texts);
  for (const auto& table : model.rotations) table->fill(tokens);
  fused::FusedWorkspace workspace(model, tokens);
  return embed(model, workspace, texts, threads);
}

// 1 - cosine as half the squared distance of the unit vectors, which does not cancel.
template <typename A, typename B>
double distance(const A& a, const B& b) {
  double aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); i++) {
    aa += double(a[i]) * double(a[i]);
    bb += double(b[i]) * double(b[i]);
  }
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) {
    const double d = double(a[i]) / std::sqrt(aa) - double(b[i]) / std::sqrt(bb);
    sum += d * d;
  }
  return sum / 2;
}

}  // namespace inlay::test
