#include "runtime/scheduler.h"

#include <algorithm>
#include <thread>

#ifdef _WIN32
#include <process.h>
#else
#include <pthread.h>
#include <unistd.h>
#endif

namespace inlay {
namespace {

// A leader gives its pool thread back after this much work, so that fs, dns and crypto get their turn.
constexpr auto leader_slice = std::chrono::milliseconds(50);
constexpr auto helper_patience = std::chrono::milliseconds(500);

int64_t current_process() {
#ifdef _WIN32
  return _getpid();
#else
  return getpid();
#endif
}

}  // namespace

Scheduler& Scheduler::instance() {
  // Never destroyed: threads may outlive static destructors.
  static Scheduler* const scheduler = new Scheduler();
  return *scheduler;
}

Scheduler::Scheduler() : process_id_(current_process()) {}

void Scheduler::configure(int32_t threads, int32_t most_leaders, QueueLimits limits) {
  std::lock_guard lock(mutex_);
  threads_ = std::max(1, threads);
  most_leaders_ = std::max(1, most_leaders);
  limits_ = limits;
}

// Before the lock is taken: in a forked child another thread may hold it for ever.
void Scheduler::refuse_if_closed() const {
  if (stopping_.load()) throw Failure(FailureCode::disposed, "The process is exiting.");
  if (process_id_ != current_process()) {
    throw Failure(FailureCode::internal,
                  "This process was forked after inlay had started; threads do not survive a fork. Load inlay in the child instead.");
  }
}

// Takes units until `until`, or until nothing is left and nothing that runs can give more.
void Scheduler::work(Lock& lock, Clock::time_point until, bool is_leader) {
  while (!stopping_) {
    Unit unit;
    bool taken = false;
    try {
      taken = take(unit);
    } catch (const std::bad_alloc&) {
      fail_oldest();
      continue;
    }
    if (taken) {
      run(lock, unit);
      if (is_leader && Clock::now() >= until) return;
      continue;
    }
    if (open_team_ && open_team_->joined + 1 < open_team_->threads()) {
      const auto team = open_team_;
      team->joined++;
      lock.unlock();
      team->join(work_waits_);
      lock.lock();
      team->joined--;
      work_waits_ = false;
      if (is_leader && Clock::now() >= until) return;
      continue;
    }
    // Texts that are being tokenised by others become passes in a moment.
    if (tokenizing_ == 0) return;
    if (changed_.wait_until(lock, until) == std::cv_status::timeout) return;
  }
}

void Scheduler::lead() {
  Lock lock(mutex_);
  leaders_coming_--;
  leaders_++;
  work(lock, Clock::now() + leader_slice, true);
  leaders_--;
  if (stopping_) changed_.notify_all();
}

void Scheduler::leader_queued() {
  std::lock_guard lock(mutex_);
  leaders_coming_++;
}

void Scheduler::leader_dropped() {
  std::lock_guard lock(mutex_);
  leaders_coming_--;
}

bool Scheduler::wants_leader() {
  std::lock_guard lock(mutex_);
  return !stopping_ && leaders_ + leaders_coming_ < std::min(most_leaders_, wanted_workers() - helpers_busy_);
}

// Threads that the queue as it stands could keep busy. Counts only what a thread that came now could take, so that
// none comes in vain and is asked for again.
int32_t Scheduler::wanted_workers() const {
  int64_t units = static_cast<int64_t>(running_.size()) + tokenizing_ + (open_team_ ? open_team_->threads() - 1 : 0);
  for (const auto& lane : lanes_) {
    for (const auto& queue : lane) {
      int64_t passes = 0;
      for (const auto& job : queue->jobs) {
        if (units >= threads_) return threads_;
        if (!job->chunks.empty()) {
          units += 1 + static_cast<int64_t>(job->waiting_bytes / tokenize_unit_bytes);
          // A text long enough to be split will have work for all by the time they have come.
          const bool splits = job->options().kind == JobKind::embed &&
                              static_cast<int64_t>(job->waiting_bytes / 4) >= queue->model->engine().split_tokens();
          if (splits) units += threads_for(*job);
        }
        if (job->ready.empty()) continue;
        const int32_t cap = job->options().threads;
        passes += cap > 0 ? std::max(0, cap - job->running) : threads_;
      }
      const auto& engine = queue->model->engine();
      int64_t batches = (queue->ready_tokens + least_batch_tokens - 1) / least_batch_tokens;
      if (queue->ready_tokens >= engine.split_tokens()) batches += threads_;
      units += std::min({passes, batches, std::max<int64_t>(0, engine.max_passes() - passes_of(*queue->model))});
    }
  }
  return static_cast<int32_t>(std::min<int64_t>(units, threads_));
}

int32_t Scheduler::threads_for(const Job& job) const {
  const int32_t cap = job.options().threads;
  return cap > 0 ? std::min(cap, threads_) : threads_;
}

int64_t Scheduler::passes_of(const Model& model) const {
  return std::count_if(running_.begin(), running_.end(), [&](const auto* batch) { return batch->model.get() == &model; });
}

// Brings threads to the work: sleeping helpers first, then leaders of the host's pool, then new helpers.
void Scheduler::summon(Lock& lock, LeaderHost* host) {
  work_waits_ = true;
  const int32_t wanted = wanted_workers();
  const int32_t idle_helpers = helpers_ - helpers_busy_;
  int32_t missing = wanted - leaders_ - leaders_coming_ - helpers_busy_;
  if (tokenizing_ > 0 || idle_helpers > 0) changed_.notify_all();
  const int32_t leaders = std::clamp(most_leaders_ - leaders_ - leaders_coming_, 0, std::max(0, missing));
  missing -= leaders;
  const int32_t most_helpers = std::max(0, threads_ - most_leaders_);
  for (; missing > idle_helpers && helpers_ < most_helpers; missing--) {
    helpers_++;
    try {
      std::thread(&Scheduler::run_helper, this).detach();
    } catch (const std::exception&) {
      helpers_--;  // no thread to be had: the leaders do the work alone
      break;
    }
  }
  if (!host || leaders == 0) return;
  lock.unlock();
  for (int32_t i = 0; i < leaders; i++) host->request_leader();
  lock.lock();
}

void Scheduler::run_helper() {
  Lock lock(mutex_);
  for (;;) {
    helpers_busy_++;
    work(lock, Clock::now() + helper_patience, false);
    helpers_busy_--;
    if (stopping_ || changed_.wait_for(lock, helper_patience) == std::cv_status::timeout) break;
  }
  helpers_--;
  changed_.notify_all();
}

void Scheduler::shutdown() {
  Lock lock(mutex_);
  stopping_ = true;
  work_waits_ = true;
  for (MicroBatch* batch : running_) batch->cancelled.store(true, std::memory_order_relaxed);
  changed_.notify_all();
  // A pass looks at its flag between operations; the bound is for one that hangs in a driver.
  changed_.wait_for(lock, std::chrono::seconds(10), [&] { return helpers_ == 0 && running_.empty(); });
}

SchedulerStats Scheduler::stats() {
  std::lock_guard lock(mutex_);
  SchedulerStats stats = stats_;
  stats.aborted = outcomes_.aborted;
  stats.failed = outcomes_.failed;
  return stats;
}

}  // namespace inlay
