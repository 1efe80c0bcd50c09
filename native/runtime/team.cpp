#include "runtime/team.h"

#include <algorithm>
#include <chrono>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace inlay {
namespace {

// Between two layers the next tasks are microseconds away, nearer than a futex. Bounded, and only inside a pass.
constexpr int32_t spins_between_tasks = 2000;

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

void SharedTeam::run(int32_t count, void (*new_task)(void*, int32_t), void* new_context) {
  const int32_t largest = static_cast<int32_t>(field);
  if (count <= 1 || count > largest) {
    for (int32_t i = 0; i < count; i++) new_task(new_context, i);
    return;
  }
  // No run is open here: the run before ended with all of its claimed tasks finished.
  task.store(new_task, std::memory_order_relaxed);
  context.store(new_context, std::memory_order_relaxed);
  finished.store(0, std::memory_order_relaxed);
  const uint64_t run_number = (ticket.load(std::memory_order_relaxed) >> (2 * index_bits)) + 1;
  ticket.store((run_number << (2 * index_bits)) | (static_cast<uint64_t>(count) << index_bits),
               std::memory_order_release);
  if (sleepers.load(std::memory_order_seq_cst) > 0) {
    std::lock_guard lock(mutex);
    wake.notify_all();
  }
  int32_t index;
  while (claim(index)) {
    new_task(new_context, index);
    finished.fetch_add(1, std::memory_order_release);
  }
  for (int32_t spin = 0; finished.load(std::memory_order_acquire) < count; spin++) {
    if (spin < spins_between_tasks) relax();
    else std::this_thread::yield();
  }
}

bool SharedTeam::claim(int32_t& index) {
  uint64_t seen = ticket.load(std::memory_order_acquire);
  for (;;) {
    const uint64_t next = seen & field;
    if (next >= ((seen >> index_bits) & field)) return false;
    if (ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      index = static_cast<int32_t>(next);
      return true;
    }
  }
}

void SharedTeam::join(const std::atomic<bool>& leave) {
  while (!over.load(std::memory_order_acquire) && !leave.load(std::memory_order_relaxed)) {
    int32_t index;
    if (claim(index)) {
      // The claim keeps this run open, so task and context are its own.
      task.load(std::memory_order_relaxed)(context.load(std::memory_order_relaxed), index);
      finished.fetch_add(1, std::memory_order_release);
    } else {
      wait_for_tasks(leave);
    }
  }
}

void SharedTeam::wait_for_tasks(const std::atomic<bool>& leave) {
  const auto open = [&] {
    const uint64_t seen = ticket.load(std::memory_order_seq_cst);
    return (seen & field) < ((seen >> index_bits) & field);
  };
  for (int32_t spin = 0; spin < spins_between_tasks; spin++) {
    if (open() || over.load(std::memory_order_relaxed)) return;
    relax();
  }
  std::unique_lock lock(mutex);
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  wake.wait_for(lock, std::chrono::milliseconds(5), [&] {
    return open() || over.load(std::memory_order_relaxed) || leave.load(std::memory_order_relaxed);
  });
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

void SharedTeam::finish() {
  over.store(true, std::memory_order_release);
  std::lock_guard lock(mutex);
  wake.notify_all();
}

}  // namespace inlay
