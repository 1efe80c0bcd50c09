#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fake_engine.h"
#include "runtime/scheduler.h"

namespace inlay::test {

// Stands for libuv: each leader asked for is a thread, which asks for more when its slice is over.
class Crew final : public LeaderHost {
 public:
  explicit Crew(Scheduler& scheduler) : scheduler(scheduler) {}
  ~Crew() override { join(); }

  void request_leader() noexcept override {
    scheduler.leader_queued();
    std::lock_guard lock(mutex);
    threads.emplace_back([this] {
      scheduler.lead();
      while (scheduler.wants_leader()) request_leader();
    });
  }

  // Until nobody leads any more.
  void join() {
    for (;;) {
      std::vector<std::thread> some;
      {
        std::lock_guard lock(mutex);
        some.swap(threads);
      }
      if (some.empty()) return;
      for (auto& thread : some) thread.join();
    }
  }

 private:
  Scheduler& scheduler;
  std::mutex mutex;
  std::vector<std::thread> threads;
};

// Counts how often each job settles.
class Listener final : public JobListener {
 public:
  void settled(std::shared_ptr<Job> job) noexcept override {
    std::lock_guard lock(mutex);
    counts[job.get()]++;
    changed.notify_all();
  }
  void await(const Job& job) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return counts.count(&job) > 0; });
  }
  int32_t times(const Job& job) {
    std::lock_guard lock(mutex);
    return counts[&job];
  }

 private:
  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<const Job*, int32_t> counts;
};

// One call: its texts, and what comes of them.
struct Call {
  struct Results {
    std::vector<float> rows;
    std::vector<int32_t> tokens;
  };
  std::vector<std::string> texts;
  std::shared_ptr<Results> results;
  std::shared_ptr<Job> job;

  const std::vector<int32_t>& tokens() const { return results->tokens; }
  std::vector<float> row(size_t index) const {
    const float* begin = results->rows.data() + index * FakeEngine::dimensions;
    return {begin, begin + FakeEngine::dimensions};
  }
};

inline JobOptions plain_options() {
  JobOptions options;
  options.dimensions = FakeEngine::dimensions;
  options.limit = 256;
  return options;
}

inline std::shared_ptr<Job::Chunk> chunk_of(const std::vector<std::string>& texts, size_t from,
                                            size_t to) {
  auto chunk = std::make_shared<Job::Chunk>();
  chunk->first = static_cast<int64_t>(from);
  for (size_t i = from; i < to; i++) {
    chunk->bytes += texts[i];
    chunk->ends.push_back(chunk->bytes.size());
  }
  return chunk;
}

// A scheduler of its own with a fake model behind it. `leaders`: of the `threads`, from libuv's pool.
class Workbench {
 public:
  explicit Workbench(int32_t threads, int32_t leaders, QueueLimits limits = {})
      : scheduler(fresh()), crew(scheduler), listener(std::make_shared<Listener>()) {
    auto made = std::make_unique<FakeEngine>();
    engine = made.get();
    model = std::make_shared<Model>(std::move(made), "", std::vector<std::string>());
    scheduler.configure(threads, leaders, limits);
  }
  ~Workbench() {
    engine->gate.open();
    finish();
  }

  // A call whose texts are still to come.
  Call open(std::vector<std::string> texts, JobOptions options = plain_options()) {
    Call call;
    call.texts = std::move(texts);
    call.results = std::make_shared<Call::Results>();
    call.results->rows.resize(call.texts.size() * FakeEngine::dimensions);
    call.results->tokens.resize(call.texts.size());
    const auto count = static_cast<int64_t>(call.texts.size());
    call.job = std::make_shared<Job>(model, options, count, call.results->rows.data(),
                                     call.results->tokens.data(), listener);
    {
      std::lock_guard lock(mutex);
      calls.push_back(call);
    }
    uint64_t bytes = 0;
    for (const auto& text : call.texts) bytes += text.size();
    scheduler.admit(call.job, bytes);
    return call;
  }
  Call submit(std::vector<std::string> texts, JobOptions options = plain_options()) {
    auto call = open(std::move(texts), options);
    scheduler.append(call.job, chunk_of(call.texts, 0, call.texts.size()), crew);
    return call;
  }
  // Hands the texts over as ids: they are in the queue at once, no thread has to tokenise them.
  Call submit_ids(std::vector<std::string> texts, JobOptions options = plain_options()) {
    auto call = open(std::move(texts), options);
    std::vector<std::vector<int32_t>> ids;
    for (const auto& text : call.texts) {
      ids.push_back(engine->prefix());
      engine->tokenize(text, false, ids.back());
      ids.back().push_back(engine->suffix().front());
    }
    scheduler.append_ids(call.job, 0, std::move(ids), crew);
    return call;
  }
  // Until all work is done and noted, helpers' too; takes no more then.
  void finish() {
    crew.join();
    scheduler.shutdown();
  }
  // Holds every thread that comes in a pass, the first one in a pass for a text "x".
  Call block() {
    engine->gate.close();
    auto call = submit({"x"});
    engine->gate.await(1);
    return call;
  }

  Scheduler& scheduler;
  Crew crew;
  std::shared_ptr<Listener> listener;
  FakeEngine* engine;
  std::shared_ptr<Model> model;

 private:
  // Never destroyed, as the process's own: a helper may still be returning from it.
  static Scheduler& fresh() {
    static auto* const all = new std::vector<std::unique_ptr<Scheduler>>();
    all->push_back(std::make_unique<Scheduler>());
    return *all->back();
  }

  std::mutex mutex;
  std::vector<Call> calls;  // jobs may write there to the end; the listener knows them by address
};

inline bool is_empty(const SchedulerStats& stats) {
  return stats.jobs == 0 && stats.texts == 0 && stats.tokens == 0 && stats.bytes == 0;
}

}  // namespace inlay::test
