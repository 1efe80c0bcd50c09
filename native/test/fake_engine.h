#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "failure.h"

namespace inlay::test {

// Passes wait here while it is closed.
class Gate {
 public:
  void close() { set(false); }
  void open() { set(true); }
  // Returns whether it opened; `cancelled` ends the wait.
  bool pass(const std::atomic<bool>& cancelled) {
    std::unique_lock lock(mutex);
    waiting++;
    changed.notify_all();
    while (!is_open && !cancelled) changed.wait_for(lock, std::chrono::milliseconds(1));
    waiting--;
    return is_open;
  }
  // Until `count` passes stand before it.
  void await(int32_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting >= count; });
  }

 private:
  void set(bool opened) {
    std::lock_guard lock(mutex);
    is_open = opened;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = true;
  int32_t waiting = 0;
};

// An engine without a model: one token per byte, a vector that depends on the ids alone, faults on demand.
class FakeEngine final : public Engine {
 public:
  static constexpr int32_t dimensions = 8;
  static constexpr int32_t first_id = 2;  // of byte 0; 0 and 1 are the specials
  // Bytes that make a text's vector, pass or tokenising go wrong.
  static constexpr char nan_byte = '!', zero_byte = '~', failing_byte = '#', untokenizable_byte = '$', huge_byte = '%';

  FakeEngine() {
    facts.engine = "fake";
    facts.dimensions = dimensions;
    facts.context_length = 256;
    facts.vocabulary = 258;
  }

  const EngineInfo& info() const override { return facts; }
  const std::vector<int32_t>& prefix() const override { return before; }
  const std::vector<int32_t>& suffix() const override { return after; }
  int32_t micro_batch_tokens() const override { return 128; }
  int32_t split_tokens() const override { return split; }
  int32_t max_passes() const override { return most_passes; }
  uint64_t weight_bytes() const override { return 0; }

  void tokenize(std::string_view text, bool, std::vector<int32_t>& ids) const override {
    for (const char c : text) {
      if (c == untokenizable_byte) throw Failure(FailureCode::input_invalid, "untokenizable");
      if (c == huge_byte) throw std::bad_alloc();
      ids.push_back(first_id + static_cast<unsigned char>(c));
    }
  }

  std::unique_ptr<Workspace> create_workspace(int32_t tokens) const override {
    class Buffers final : public Workspace {
     public:
      explicit Buffers(size_t count) : floats(count) {}
      uint64_t bytes() const override { return floats.size() * sizeof(float); }
      std::vector<float> floats;
    };
    return std::make_unique<Buffers>(static_cast<size_t>(tokens) * dimensions);
  }

  void forward(Workspace&, const SequenceView* sequences, int32_t count, Team& team,
               const std::atomic<bool>& cancelled) const override {
    const int32_t now = ++passes_running;
    for (int32_t most = most_running; most < now && !most_running.compare_exchange_weak(most, now);) {}
    const auto leave = std::shared_ptr<void>(nullptr, [&](void*) { passes_running--; });
    record(sequences, count);
    if (!gate.pass(cancelled)) throw Failure(FailureCode::aborted, "aborted");
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    struct Work {
      const SequenceView* sequences;
      std::mutex mutex;
      std::set<std::thread::id> threads;
    } work{sequences, {}, {}};
    const auto one = [](void* context, int32_t i) {
      auto& work = *static_cast<Work*>(context);
      {
        std::lock_guard lock(work.mutex);
        work.threads.insert(std::this_thread::get_id());
      }
      const auto& sequence = work.sequences[i / dimensions];
      sequence.row[i % dimensions] = component(sequence.ids, sequence.count, i % dimensions);
    };
    team.run(count * dimensions, one, &work);
    most_in_team = std::max(most_in_team.load(), static_cast<int32_t>(work.threads.size()));
    for (int32_t i = 0; i < count; i++) {
      const auto has = [&](char byte) {
        const int32_t id = first_id + static_cast<unsigned char>(byte);
        return std::find(sequences[i].ids, sequences[i].ids + sequences[i].count, id) != sequences[i].ids + sequences[i].count;
      };
      if (has(failing_byte)) throw Failure(FailureCode::device, "the device is gone");
      if (has(nan_byte)) sequences[i].row[3] = std::numeric_limits<float>::quiet_NaN();
      if (has(zero_byte)) std::fill_n(sequences[i].row, dimensions, 0.0f);
    }
  }

  // What embedding `text` must give, normalised.
  static std::vector<float> expected(std::string_view text, int32_t limit = 256) {
    std::vector<int32_t> ids{0};
    for (const char c : text) ids.push_back(first_id + static_cast<unsigned char>(c));
    if (static_cast<int32_t>(ids.size()) > limit - 1) ids.resize(static_cast<size_t>(limit - 1));
    ids.push_back(1);
    std::vector<float> row(dimensions);
    double sum = 0;
    for (int32_t d = 0; d < dimensions; d++) {
      row[d] = component(ids.data(), static_cast<int32_t>(ids.size()), d);
      sum += static_cast<double>(row[d]) * row[d];
    }
    const double scale = 1 / std::sqrt(sum);
    for (auto& value : row) value = static_cast<float>(value * scale);
    return row;
  }

  // Tokens of each sequence of each pass, in the order in which they began.
  std::vector<std::vector<int32_t>> passes() const {
    std::lock_guard lock(mutex);
    return recorded;
  }
  // The first byte of each sequence of each pass.
  std::vector<std::string> first_bytes() const {
    std::lock_guard lock(mutex);
    return heads;
  }

  mutable Gate gate;
  std::chrono::microseconds delay{0};
  int32_t split = 1000;
  int32_t most_passes = INT32_MAX;
  mutable std::atomic<int32_t> most_running{0};
  mutable std::atomic<int32_t> most_in_team{0};  // threads that worked on one pass

 private:
  // Between 0.5 and 1.5: no vector is zero.
  static float component(const int32_t* ids, int32_t count, int32_t dimension) {
    uint32_t hash = 2166136261u + static_cast<uint32_t>(dimension) * 16777619u;
    for (int32_t i = 0; i < count; i++) hash = (hash ^ static_cast<uint32_t>(ids[i])) * 16777619u;
    return 0.5f + static_cast<float>(hash >> 8) * 0x1p-24f;
  }

  void record(const SequenceView* sequences, int32_t count) const {
    std::lock_guard lock(mutex);
    recorded.emplace_back();
    heads.emplace_back();
    for (int32_t i = 0; i < count; i++) {
      recorded.back().push_back(sequences[i].count);
      heads.back() += sequences[i].count > 2 ? static_cast<char>(sequences[i].ids[1] - first_id) : '-';
    }
  }

  EngineInfo facts;
  std::vector<int32_t> before{0}, after{1};
  mutable std::mutex mutex;
  mutable std::vector<std::vector<int32_t>> recorded;
  mutable std::vector<std::string> heads;
  mutable std::atomic<int32_t> passes_running{0};
};

}  // namespace inlay::test
