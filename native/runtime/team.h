#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "engine/engine.h"

namespace inlay {

// Runs every task on the calling thread.
class SoloTeam final : public Team {
 public:
  void run(int32_t count, void (*task)(void*, int32_t), void* context) override {
    for (int32_t i = 0; i < count; i++) task(context, i);
  }
  int32_t threads() const override { return 1; }
};

// A leader's pass that other threads may join and leave at any time. Tasks are claimed from a counter; the leader
// claims like everyone else and waits only for tasks that somebody has already begun.
class SharedTeam final : public Team {
 public:
  explicit SharedTeam(int32_t threads) : limit(threads) {}

  void run(int32_t count, void (*task)(void*, int32_t), void* context) override;
  int32_t threads() const override { return limit; }

  // For a thread with nothing else to do: takes tasks until the pass is over or `leave` says so.
  void join(const std::atomic<bool>& leave);
  // The pass is over: joiners return.
  void finish();

  int32_t joined = 0;  // beside the leader; the scheduler's, under its lock

 private:
  // One word holds which run this is (24 bits), how many tasks it has (20) and the next one to claim (20), so that a
  // claim can never mix two runs up.
  static constexpr uint64_t index_bits = 20;
  static constexpr uint64_t field = (uint64_t{1} << index_bits) - 1;

  bool claim(int32_t& index);
  void wait_for_tasks(const std::atomic<bool>& leave);

  const int32_t limit;
  std::atomic<uint64_t> ticket{0};
  std::atomic<int32_t> finished{0};
  std::atomic<void (*)(void*, int32_t)> task{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<bool> over{false};
  std::atomic<int32_t> sleepers{0};
  std::mutex mutex;
  std::condition_variable wake;
};

}  // namespace inlay
