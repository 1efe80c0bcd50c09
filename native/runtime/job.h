#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failure.h"
#include "runtime/model.h"

namespace inlay {

class Job;

enum class Lane : int32_t { interactive = 0, bulk = 1 };
enum class JobKind : int32_t { embed = 0, tokenize = 1 };

struct JobOptions {
  JobKind kind = JobKind::embed;
  Lane lane = Lane::interactive;
  bool truncate = true;
  bool normalize = true;
  bool parse_special = false;
  bool add_special = true;        // tokenize: put the special tokens around each text
  bool collect_failures = false;  // a text that fails does not fail the others
  int32_t dimensions = 0;         // of the rows that are written, 1..the model's
  int32_t limit = 0;              // tokens per text, specials included, 1..the model's context
  int32_t threads = 0;            // that may run passes of this job at once; 0: as many as there are
};

// Hears once of each job that has settled, on any thread. Must not block and must not throw.
class JobListener {
 public:
  virtual ~JobListener() = default;
  virtual void settled(std::shared_ptr<Job> job) noexcept = 0;
};

// How calls ended that did not succeed. Counted before the listener hears of it.
struct JobOutcomes {
  std::atomic<int64_t> aborted{0}, failed{0};
};

// One sequence waiting for its pass, and the texts that want its vector: several where texts are identical.
struct Sequence {
  struct Target {
    std::shared_ptr<Job> job;
    int64_t index;
  };
  std::vector<int32_t> ids;
  std::vector<Target> targets;
  uint64_t hash = 0;
};

// One call's texts on their way to vectors or ids. Texts are appended by one thread, then sealed; results are written
// by any; the job settles exactly once. Members marked (queue) belong to the scheduler and its lock.
class Job : public std::enable_shared_from_this<Job> {
 public:
  // `rows` (count × options.dimensions floats) and `tokens` (count) are the caller's and are not touched after the job
  // has settled. Either may be null.
  Job(std::shared_ptr<Model> model, JobOptions options, int64_t count, float* rows, int32_t* tokens,
      std::shared_ptr<JobListener> listener);

  const std::shared_ptr<Model>& model() const { return model_; }
  const JobOptions& options() const { return options_; }
  int64_t count() const { return count_; }

  // Counts the job's end in `outcomes`, which outlive it.
  void count_in(JobOutcomes& outcomes);

  // Results. Each returns at once when the job has settled. Where there is no memory to keep one, the job fails.
  // The pooled vector of text `index`: checked, cut, normalised, written.
  void deliver(int64_t index, const float* vector) noexcept;
  void deliver_ids(int64_t index, std::vector<int32_t> ids);
  // Says how many tokens text `index` has, and whether it was cut.
  void note_tokens(int64_t index, int32_t tokens, bool truncated);
  // Text `index` failed: settles the job, or is kept for the end where failures are collected.
  void fail_text(int64_t index, Failure failure) noexcept;
  void fail(Failure failure) noexcept;

  bool is_settled() const { return settled_.load(std::memory_order_acquire); }
  // After settling: the outcome, for the one thread that listens.
  const std::optional<Failure>& failure() const { return failure_; }
  const std::vector<Failure>& text_failures() const { return text_failures_; }
  const std::vector<int64_t>& truncated() const { return truncated_; }
  std::vector<std::vector<int32_t>>& ids() { return ids_; }

  // (queue) Texts that wait for the tokenizer: bytes one after another, and where each ends.
  struct Chunk {
    std::string bytes;
    std::vector<uint64_t> ends;
    int64_t first = 0;
  };
  std::deque<std::shared_ptr<Chunk>> chunks;
  size_t next_in_chunk = 0;   // (queue) first text of chunks.front() that nobody tokenises yet
  int64_t appended = 0;       // (queue)
  uint64_t reserved_bytes = 0;  // (queue) kept for texts that are still to be appended
  uint64_t waiting_bytes = 0; // (queue) of texts that nobody tokenises yet
  std::deque<std::shared_ptr<Sequence>> ready;  // (queue)
  int64_t ready_tokens = 0;   // (queue)
  int32_t running = 0;        // (queue) units of work on this job that run now
  bool queued = false;        // (queue) listed in its lane
  bool started = false;       // (queue) a pass on it has begun

 private:
  void finish_one();           // with the lock held
  void settle();               // with the lock held

  const std::shared_ptr<Model> model_;
  const JobOptions options_;
  const int64_t count_;
  const std::shared_ptr<JobListener> listener_;

  std::mutex mutex_;
  JobOutcomes* outcomes_ = nullptr;
  float* rows_;
  int32_t* tokens_;
  int64_t done_ = 0;
  std::atomic<bool> settled_{false};
  std::optional<Failure> failure_;
  std::vector<Failure> text_failures_;
  std::vector<int64_t> truncated_;
  std::vector<std::vector<int32_t>> ids_;
};

}  // namespace inlay
