#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "runtime/team.h"

using namespace inlay;

namespace {

struct Hits {
  std::array<std::atomic<int32_t>, 64> counts{};
  std::atomic<int64_t> work{0};
  static void task(void* context, int32_t index) {
    auto& hits = *static_cast<Hits*>(context);
    hits.counts[static_cast<size_t>(index)]++;
    for (volatile int32_t spin = 0; spin < index * 3; spin = spin + 1) {}
    hits.work += index;
  }
};

}  // namespace

TEST_CASE("while threads join and leave, each task of each run is done exactly once before the run returns") {
  constexpr int32_t passes = 20, runs = 400, joiners = 3;
  std::atomic<int64_t> wrong{0};
  for (int32_t pass = 0; pass < passes; pass++) {
    SharedTeam team(joiners + 1);
    std::atomic<bool> over{false};
    std::atomic<bool> leave{false};
    std::vector<std::thread> threads;
    for (int32_t i = 0; i < joiners; i++) {
      threads.emplace_back([&] {
        while (!over) {
          team.join(leave);
          leave = false;
        }
      });
    }
    for (int32_t run = 0; run < runs; run++) {
      const int32_t count = run * 7 % 61;
      Hits hits;  // a task of this run that ran late would touch freed memory
      team.run(count, Hits::task, &hits);
      if (run % 5 == 0) leave = true;
      for (int32_t i = 0; i < 64; i++) wrong += hits.counts[static_cast<size_t>(i)] != (i < count);
      wrong += hits.work != count * (count - 1) / 2;
    }
    over = true;
    team.finish();
    for (auto& thread : threads) thread.join();
  }
  CHECK(wrong == 0);
}

TEST_CASE("a leader that nobody joins does its tasks alone") {
  SharedTeam team(8);
  Hits hits;
  team.run(40, Hits::task, &hits);
  CHECK(hits.work == 40 * 39 / 2);
}

TEST_CASE("a joiner returns when the pass is over and when it is called away") {
  SharedTeam team(2);
  const std::atomic<bool> called{true};
  team.join(called);
  const std::atomic<bool> stay{false};
  std::thread joiner([&] { team.join(stay); });
  team.finish();
  joiner.join();
}
