#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "runtime/job.h"
#include "runtime/team.h"

namespace inlay {

// An environment that can lend threads of libuv's pool. Called on any thread, without the scheduler's lock.
class LeaderHost {
 public:
  virtual ~LeaderHost() = default;
  virtual void request_leader() noexcept = 0;
};

struct QueueLimits {
  uint64_t bytes = uint64_t{256} << 20;
  int64_t tokens = int64_t{64} << 20;
};

struct SchedulerStats {
  int64_t jobs = 0, texts = 0, tokens = 0;  // queued now
  uint64_t bytes = 0;
  int64_t total_jobs = 0, total_texts = 0, total_tokens = 0, micro_batches = 0;
  int64_t deduplicated = 0, aborted = 0, failed = 0;
  double tokens_per_second = 0;
};

// The process's one queue of work. Its unit is the micro-batch: threads take units and run each by themselves.
// Leaders are threads of libuv's pool, lent for a slice of time; helpers are the runtime's own, for more cores than
// the pool gives, and go away when idle.
class Scheduler {
 public:
  static Scheduler& instance();
  Scheduler();  // for tests; its threads may outlive shutdown(), so it must never be destroyed

  // Threads that may work at once, and how many of them libuv's pool gives at most.
  void configure(int32_t threads, int32_t most_leaders, QueueLimits limits);
  int32_t threads() const { return threads_; }
  QueueLimits limits() const { return limits_; }

  // Keeps room for `bytes` of a job's texts; cancel() gives back what was not used. Throws Failure(queue_full) with the
  // time to wait.
  void admit(const std::shared_ptr<Job>& job, uint64_t bytes);
  // Appends texts to a job and lets threads at them. `host` is where leaders come from.
  void append(const std::shared_ptr<Job>& job, std::shared_ptr<Job::Chunk> chunk, LeaderHost& host);
  // The same for texts that are tokenised already (ids without specials).
  void append_ids(const std::shared_ptr<Job>& job, int64_t first, std::vector<std::vector<int32_t>> ids, LeaderHost& host);
  // Settles the job with `failure` and takes what is queued of it out.
  void cancel(const std::shared_ptr<Job>& job, Failure failure);
  // Whether a pass on the job has begun.
  bool has_started(const std::shared_ptr<Job>& job);

  // One leader's slice, on a thread of libuv's pool; returns when it is over or nothing is left to do. Announced
  // before by the host, which called leader_queued().
  void lead();
  void leader_queued();
  void leader_dropped();  // one that was queued will not come
  // Whether another leader is worth queueing now.
  bool wants_leader();

  // Ends every pass as soon as its engine looks up, and waits for the helpers. Later work is refused.
  void shutdown();
  SchedulerStats stats();

 private:
  // The jobs of one model in one lane.
  struct ModelQueue {
    std::shared_ptr<Model> model;
    std::list<std::shared_ptr<Job>> jobs;  // round-robin: the first is next
    int64_t ready_tokens = 0;
    uint64_t waiting_bytes = 0;
    std::unordered_multimap<uint64_t, std::weak_ptr<Sequence>> by_hash;  // ready sequences, for identical texts
  };
  struct TokenizeUnit {
    std::shared_ptr<Job> job;
    std::shared_ptr<Job::Chunk> chunk;
    size_t from, to;
  };
  struct MicroBatch {
    std::shared_ptr<Model> model;
    std::vector<std::shared_ptr<Sequence>> sequences;
    std::vector<std::shared_ptr<Job>> jobs;  // counted in Job::running
    int64_t tokens = 0;
    std::atomic<bool> cancelled{false};
  };
  struct Unit {
    std::unique_ptr<TokenizeUnit> tokenize;
    std::unique_ptr<MicroBatch> batch;
  };
  // Text that one tokenising unit takes: some 100 microseconds of work.
  static constexpr uint64_t tokenize_unit_bytes = 4096;
  // Below this a micro-batch is not divided between threads: a pass has a fixed cost.
  static constexpr int64_t least_batch_tokens = 64;

  using Lock = std::unique_lock<std::mutex>;
  using Clock = std::chrono::steady_clock;

  bool take(Unit& unit);
  bool take_from_lane(Lane lane, Unit& unit);
  bool take_tokenize(ModelQueue& queue, Unit& unit);
  bool take_batch(ModelQueue& queue, Unit& unit);
  void take_sequences(ModelQueue& queue, Job& job, int64_t budget, MicroBatch& batch);
  void run(Lock& lock, Unit& unit);
  void run_tokenize(Lock& lock, TokenizeUnit& unit);
  void run_batch(Lock& lock, MicroBatch& batch);
  void fail_batch(MicroBatch& batch, const std::exception_ptr& error);
  void fail_oldest();
  void enqueue(const std::shared_ptr<Job>& job, std::shared_ptr<Sequence> sequence);
  ModelQueue& queue_of(const std::shared_ptr<Job>& job);
  void list_job(const std::shared_ptr<Job>& job);
  void unlist_if_done(ModelQueue& queue, const std::shared_ptr<Job>& job);
  void remove_from_queue(const std::shared_ptr<Job>& job) noexcept;
  void release_reserve(Job& job, uint64_t bytes);
  void forget(ModelQueue& queue, const std::shared_ptr<Sequence>& sequence);
  void work(Lock& lock, Clock::time_point until, bool is_leader);
  int32_t wanted_workers() const;
  int32_t threads_for(const Job& job) const;  // that may work on it at once
  int64_t passes_of(const Model& model) const;
  void summon(Lock& lock, LeaderHost* host);
  void run_helper();
  void refuse_if_closed() const;
  void note_rate(int64_t tokens, double seconds);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::list<std::unique_ptr<ModelQueue>>, 2> lanes_;
  QueueLimits limits_;
  uint64_t reserved_bytes_ = 0;   // of texts that are still to be appended
  int32_t threads_ = 1;
  int32_t most_leaders_ = 1;
  int32_t leaders_ = 0;           // working
  int32_t leaders_coming_ = 0;    // queued in libuv
  int32_t helpers_ = 0;           // alive
  int32_t helpers_busy_ = 0;
  int32_t tokenizing_ = 0;        // units that run
  int32_t interactive_streak_ = 0;
  std::vector<MicroBatch*> running_;
  std::shared_ptr<SharedTeam> open_team_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> work_waits_{false};  // calls threads that have joined another's pass back to the queue
  int64_t process_id_ = 0;
  SchedulerStats stats_;   // but for how jobs ended
  JobOutcomes outcomes_;
};

}  // namespace inlay
