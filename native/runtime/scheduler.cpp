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
// Of eight micro-batches at least one goes to bulk work that waits.
constexpr int32_t most_interactive_in_a_row = 7;
// Text that one tokenising unit takes: some 100 microseconds of work.
constexpr uint64_t tokenize_unit_bytes = 4096;
// Below this a micro-batch is not divided between threads: a pass has a fixed cost.
constexpr int64_t least_batch_tokens = 64;

int64_t current_process() {
#ifdef _WIN32
  return _getpid();
#else
  return getpid();
#endif
}

// FNV-1a over the ids; equality is checked on the ids themselves.
uint64_t hash_ids(const std::vector<int32_t>& ids) {
  uint64_t hash = 14695981039346656037u;
  for (const int32_t id : ids) hash = (hash ^ static_cast<uint32_t>(id)) * 1099511628211u;
  return hash;
}

// What an engine's exception means to the caller.
Failure failure_of(const std::exception_ptr& error, const char* doing) noexcept {
  try {
    try {
      std::rethrow_exception(error);
    } catch (const Failure& known) {
      return known;
    } catch (const std::bad_alloc&) {
      return {FailureCode::out_of_memory, std::string("There is no memory left to ") + doing + "."};
    } catch (const std::exception& other) {
      return {FailureCode::internal, std::string("It failed to ") + doing + ": " + other.what()};
    }
  } catch (...) {
    return out_of_memory();
  }
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

void Scheduler::admit(const std::shared_ptr<Job>& job, uint64_t bytes) {
  refuse_if_closed();
  std::lock_guard lock(mutex_);
  // A token of ordinary text has some four bytes; what waits for the tokenizer counts by that.
  const uint64_t waiting_bytes = stats_.bytes + reserved_bytes_;
  const auto waiting_tokens = stats_.tokens + static_cast<int64_t>(waiting_bytes / 4);
  const bool empty = stats_.jobs == 0 && reserved_bytes_ == 0;
  const bool fits = waiting_bytes + bytes <= limits_.bytes && waiting_tokens + static_cast<int64_t>(bytes / 4) <= limits_.tokens;
  if (empty || fits) {
    job->reserved_bytes = bytes;
    reserved_bytes_ += bytes;
    return;
  }
  Failure full(FailureCode::queue_full, "The queue holds " + std::to_string(waiting_tokens) + " tokens and " +
                                            std::to_string(waiting_bytes) + " bytes of text and takes no more; try again later.");
  const double rate = std::max(1000.0, stats_.tokens_per_second);
  full.limit = std::max<int64_t>(100, static_cast<int64_t>(1000 * static_cast<double>(waiting_tokens) / 2 / rate));
  throw full;
}

// What was reserved for a job's texts is given back as they come, and the rest with the last or with the job's end.
void Scheduler::release_reserve(Job& job, uint64_t bytes) {
  const uint64_t released = job.appended >= job.count() ? job.reserved_bytes : std::min(job.reserved_bytes, bytes);
  job.reserved_bytes -= released;
  reserved_bytes_ -= released;
}

void Scheduler::append(const std::shared_ptr<Job>& job, std::shared_ptr<Job::Chunk> chunk, LeaderHost& host) {
  refuse_if_closed();
  Lock lock(mutex_);
  if (job->is_settled()) return;
  job->chunks.push_back(chunk);
  try {
    list_job(job);
  } catch (...) {
    job->chunks.pop_back();
    throw;
  }
  auto& queue = queue_of(job);
  if (job->appended == 0) stats_.total_jobs++;
  job->appended += static_cast<int64_t>(chunk->ends.size());
  job->waiting_bytes += chunk->bytes.size();
  queue.waiting_bytes += chunk->bytes.size();
  stats_.bytes += chunk->bytes.size();
  stats_.texts += static_cast<int64_t>(chunk->ends.size());
  release_reserve(*job, chunk->bytes.size());
  summon(lock, &host);
}

void Scheduler::append_ids(const std::shared_ptr<Job>& job, int64_t first, std::vector<std::vector<int32_t>> ids,
                           LeaderHost& host) {
  refuse_if_closed();
  Lock lock(mutex_);
  if (job->is_settled()) return;
  list_job(job);
  if (job->appended == 0) stats_.total_jobs++;
  job->appended += static_cast<int64_t>(ids.size());
  release_reserve(*job, 0);
  for (auto& one : ids) {
    auto sequence = std::make_shared<Sequence>();
    sequence->ids = std::move(one);
    sequence->targets.push_back({job, first++});
    enqueue(job, std::move(sequence));
    stats_.texts++;
  }
  unlist_if_done(queue_of(job), job);
  summon(lock, &host);
}

void Scheduler::cancel(const std::shared_ptr<Job>& job, Failure failure) {
  const bool aborted = failure.code == FailureCode::aborted;
  const bool was_settled = job->is_settled();
  job->fail(std::move(failure));
  std::lock_guard lock(mutex_);
  if (!was_settled) (aborted ? stats_.aborted : stats_.failed)++;
  remove_from_queue(job);
  reserved_bytes_ -= job->reserved_bytes;
  job->reserved_bytes = 0;
  // A pass whose every text has lost its taker may stop.
  for (MicroBatch* batch : running_) {
    const bool wanted = std::any_of(batch->sequences.begin(), batch->sequences.end(), [](const auto& sequence) {
      return std::any_of(sequence->targets.begin(), sequence->targets.end(),
                         [](const auto& target) { return !target.job->is_settled(); });
    });
    if (!wanted) batch->cancelled.store(true, std::memory_order_relaxed);
  }
}

bool Scheduler::has_started(const std::shared_ptr<Job>& job) {
  std::lock_guard lock(mutex_);
  return job->started;
}

Scheduler::ModelQueue& Scheduler::queue_of(const std::shared_ptr<Job>& job) {
  auto& lane = lanes_[static_cast<size_t>(job->options().lane)];
  for (auto& queue : lane) {
    if (queue->model == job->model()) return *queue;
  }
  auto queue = std::make_unique<ModelQueue>();
  queue->model = job->model();
  lane.push_back(std::move(queue));
  return *lane.back();
}

void Scheduler::list_job(const std::shared_ptr<Job>& job) {
  if (job->queued) return;
  std::list<std::shared_ptr<Job>> node{job};
  auto& queue = queue_of(job);
  queue.jobs.splice(queue.jobs.end(), node);
  job->queued = true;
  stats_.jobs++;
}

void Scheduler::unlist_if_done(ModelQueue& queue, const std::shared_ptr<Job>& job) {
  if (!job->queued || !job->chunks.empty() || !job->ready.empty()) return;
  // From the end, where a job stands that has just been served: with thousands waiting the way from the front is long.
  queue.jobs.erase(std::next(std::find(queue.jobs.rbegin(), queue.jobs.rend(), job)).base());
  job->queued = false;
  stats_.jobs--;
  if (!queue.jobs.empty()) return;
  auto& lane = lanes_[static_cast<size_t>(job->options().lane)];
  lane.remove_if([&](const auto& one) { return one.get() == &queue; });
}

void Scheduler::remove_from_queue(const std::shared_ptr<Job>& job) noexcept {
  if (!job->queued) return;
  auto& queue = queue_of(job);
  queue.waiting_bytes -= job->waiting_bytes;
  stats_.bytes -= job->waiting_bytes;
  job->waiting_bytes = 0;
  for (size_t i = 0; i < job->chunks.size(); i++) {
    stats_.texts -= static_cast<int64_t>(job->chunks[i]->ends.size() - (i == 0 ? job->next_in_chunk : 0));
  }
  job->chunks.clear();
  job->next_in_chunk = 0;
  while (!job->ready.empty()) {
    const auto sequence = std::move(job->ready.front());
    job->ready.pop_front();
    const auto size = static_cast<int64_t>(sequence->ids.size());
    job->ready_tokens -= size;
    const size_t before = sequence->targets.size();
    auto& targets = sequence->targets;
    targets.erase(std::remove_if(targets.begin(), targets.end(), [](const auto& t) { return t.job->is_settled(); }), targets.end());
    stats_.texts -= static_cast<int64_t>(before - targets.size());
    if (!targets.empty()) {
      // Another job waits for the same text: it inherits the sequence.
      const auto heir = targets.front().job;
      try {
        list_job(heir);
        heir->ready.push_front(sequence);
        heir->ready_tokens += size;
        continue;
      } catch (const std::bad_alloc&) {
        for (const auto& target : targets) target.job->fail(out_of_memory());
        stats_.texts -= static_cast<int64_t>(targets.size());
        unlist_if_done(queue, heir);
      }
    }
    forget(queue, sequence);
    queue.ready_tokens -= size;
    stats_.tokens -= size;
  }
  unlist_if_done(queue, job);
}

void Scheduler::forget(ModelQueue& queue, const std::shared_ptr<Sequence>& sequence) {
  const auto range = queue.by_hash.equal_range(sequence->hash);
  for (auto it = range.first; it != range.second; ++it) {
    if (it->second.lock() == sequence) {
      queue.by_hash.erase(it);
      return;
    }
  }
}

// With one text's ids ready: joins an identical one that waits, or becomes a sequence of its own.
void Scheduler::enqueue(const std::shared_ptr<Job>& job, std::shared_ptr<Sequence> sequence) {
  list_job(job);
  auto& queue = queue_of(job);
  sequence->hash = hash_ids(sequence->ids);
  const auto range = queue.by_hash.equal_range(sequence->hash);
  for (auto it = range.first; it != range.second; ++it) {
    const auto twin = it->second.lock();
    if (twin && twin->ids == sequence->ids) {
      twin->targets.push_back(std::move(sequence->targets.front()));
      stats_.deduplicated++;
      return;
    }
  }
  const auto size = static_cast<int64_t>(sequence->ids.size());
  job->ready.push_back(sequence);
  try {
    queue.by_hash.emplace(sequence->hash, sequence);
  } catch (...) {
    job->ready.pop_back();
    throw;
  }
  queue.ready_tokens += size;
  job->ready_tokens += size;
  stats_.tokens += size;
}

bool Scheduler::take(Unit& unit) {
  const bool bulk_first = interactive_streak_ >= most_interactive_in_a_row;
  const Lane first = bulk_first ? Lane::bulk : Lane::interactive;
  const Lane second = bulk_first ? Lane::interactive : Lane::bulk;
  for (const Lane lane : {first, second}) {
    if (!take_from_lane(lane, unit)) continue;
    if (unit.batch) interactive_streak_ = lane == Lane::interactive ? interactive_streak_ + 1 : 0;
    return true;
  }
  return false;
}

bool Scheduler::take_from_lane(Lane which, Unit& unit) {
  auto& lane = lanes_[static_cast<size_t>(which)];
  for (size_t turn = 0; turn < lane.size(); turn++) {
    // Models take turns as jobs do: the one that is served goes to the back.
    lane.splice(lane.end(), lane, lane.begin());
    ModelQueue& queue = *lane.back();
    const int64_t batch = queue.model->engine().micro_batch_tokens();
    // Tokenise until a micro-batch is full: texts of different callers then share one.
    if (queue.ready_tokens < batch && take_tokenize(queue, unit)) return true;
    if (take_batch(queue, unit)) return true;
    if (take_tokenize(queue, unit)) return true;
  }
  return false;
}

bool Scheduler::take_tokenize(ModelQueue& queue, Unit& unit) {
  for (auto it = queue.jobs.begin(); it != queue.jobs.end(); ++it) {
    const auto job = *it;
    if (job->chunks.empty()) continue;
    const auto chunk = job->chunks.front();
    const auto start_of = [&](size_t text) { return text == 0 ? 0 : chunk->ends[text - 1]; };
    const size_t from = job->next_in_chunk;
    size_t to = from;
    do to++;
    while (to < chunk->ends.size() && chunk->ends[to - 1] - start_of(from) < tokenize_unit_bytes);
    const uint64_t bytes = chunk->ends[to - 1] - start_of(from);
    unit.tokenize.reset(new TokenizeUnit{job, chunk, from, to});
    job->waiting_bytes -= bytes;
    queue.waiting_bytes -= bytes;
    stats_.bytes -= bytes;
    job->next_in_chunk = to;
    if (to == chunk->ends.size()) {
      job->chunks.pop_front();
      job->next_in_chunk = 0;
    }
    job->running++;
    queue.jobs.splice(queue.jobs.end(), queue.jobs, it);
    unlist_if_done(queue, job);
    return true;
  }
  return false;
}

bool Scheduler::take_batch(ModelQueue& queue, Unit& unit) {
  if (queue.ready_tokens == 0) return false;
  const auto may_run = [](const Job& job) {
    return !job.ready.empty() && (job.options().threads <= 0 || job.running < job.options().threads);
  };
  const auto head = std::find_if(queue.jobs.begin(), queue.jobs.end(), [&](const auto& job) { return may_run(*job); });
  if (head == queue.jobs.end()) return false;
  if (passes_of(*queue.model) >= queue.model->engine().max_passes()) return false;

  // What is ready is shared out among the threads, down to the size where a pass's fixed cost shows.
  const int64_t full = queue.model->engine().micro_batch_tokens();
  const int64_t share = (queue.ready_tokens + threads_ - 1) / threads_;
  const int64_t budget = std::clamp(share, std::min(least_batch_tokens, full), full);

  auto batch = std::make_unique<MicroBatch>();
  batch->model = queue.model;
  // All memory first: from here on nothing can fail. No sequence is shorter than a token.
  batch->sequences.reserve(static_cast<size_t>(budget) + 1);
  batch->jobs.reserve(static_cast<size_t>(budget) + 1);
  running_.reserve(running_.size() + 1);
  auto it = head;
  for (auto left = std::distance(head, queue.jobs.end()); left > 0 && batch->tokens < budget; left--) {
    const auto here = it++;
    const auto& job = *here;
    if (!may_run(*job)) continue;
    const size_t before = batch->sequences.size();
    take_sequences(queue, *job, budget, *batch);
    if (batch->sequences.size() == before) break;  // its text does not fit any more: it is first in the next batch
    batch->jobs.push_back(job);
    job->running++;
    job->started = true;
    queue.jobs.splice(queue.jobs.end(), queue.jobs, here);
  }
  for (const auto& job : batch->jobs) unlist_if_done(queue, job);
  unit.batch = std::move(batch);
  return true;
}

// At least one sequence, then as many as fit.
void Scheduler::take_sequences(ModelQueue& queue, Job& job, int64_t budget, MicroBatch& batch) {
  while (!job.ready.empty()) {
    const auto size = static_cast<int64_t>(job.ready.front()->ids.size());
    if (!batch.sequences.empty() && batch.tokens + size > budget) return;
    auto sequence = std::move(job.ready.front());
    job.ready.pop_front();
    forget(queue, sequence);
    job.ready_tokens -= size;
    queue.ready_tokens -= size;
    stats_.tokens -= size;
    stats_.texts -= static_cast<int64_t>(sequence->targets.size());
    batch.tokens += size;
    batch.sequences.push_back(std::move(sequence));
  }
}

void Scheduler::run(Lock& lock, Unit& unit) {
  if (unit.tokenize) run_tokenize(lock, *unit.tokenize);
  else run_batch(lock, *unit.batch);
}

void Scheduler::run_tokenize(Lock& lock, TokenizeUnit& unit) {
  tokenizing_++;
  lock.unlock();
  Job& job = *unit.job;
  const Engine& engine = job.model()->engine();
  const auto& options = job.options();
  const bool embeds = options.kind == JobKind::embed;
  const auto specials = engine.prefix().size() + engine.suffix().size();
  std::vector<std::shared_ptr<Sequence>> sequences;
  int64_t failed = 0;
  for (size_t text = unit.from; text < unit.to && !job.is_settled(); text++) {
    const int64_t index = unit.chunk->first + static_cast<int64_t>(text);
    const uint64_t begin = text == 0 ? 0 : unit.chunk->ends[text - 1];
    const std::string_view bytes(unit.chunk->bytes.data() + begin, unit.chunk->ends[text] - begin);
    try {
      auto sequence = std::make_shared<Sequence>();
      auto& ids = sequence->ids;
      const bool around = embeds || options.add_special;
      if (around) ids = engine.prefix();
      const size_t head = ids.size();
      engine.tokenize(bytes, options.parse_special, ids);
      if (embeds) {
        const auto total = static_cast<int64_t>(ids.size() + engine.suffix().size());
        const bool too_long = total > options.limit;
        if (too_long && !options.truncate) {
          Failure failure(FailureCode::input_too_long,
                          "Input " + std::to_string(index) + " has " + std::to_string(total) + " tokens, the limit is " +
                              std::to_string(options.limit) + "; shorten it or allow truncation.",
                          index);
          failure.tokens = total;
          failure.limit = options.limit;
          throw failure;
        }
        if (too_long) ids.resize(head + static_cast<size_t>(options.limit) - specials);
        ids.insert(ids.end(), engine.suffix().begin(), engine.suffix().end());
        job.note_tokens(index, static_cast<int32_t>(ids.size()), too_long);
        sequence->targets.push_back({unit.job, index});
        sequences.push_back(std::move(sequence));
      } else {
        if (around) ids.insert(ids.end(), engine.suffix().begin(), engine.suffix().end());
        job.note_tokens(index, static_cast<int32_t>(ids.size()), false);
        job.deliver_ids(index, std::move(ids));
      }
    } catch (...) {
      failed++;
      job.fail_text(index, failure_of(std::current_exception(), "tokenise a text"));
    }
  }
  lock.lock();
  tokenizing_--;
  job.running--;
  stats_.failed += failed;
  stats_.total_texts += static_cast<int64_t>(unit.to - unit.from);
  stats_.texts -= static_cast<int64_t>(unit.to - unit.from);
  try {
    for (auto& sequence : sequences) {
      if (job.is_settled()) break;
      enqueue(unit.job, std::move(sequence));
      stats_.texts++;
    }
  } catch (const std::bad_alloc&) {
    job.fail(out_of_memory());
  }
  if (job.is_settled()) remove_from_queue(unit.job);
  else if (job.queued) unlist_if_done(queue_of(unit.job), unit.job);
  changed_.notify_all();
}

void Scheduler::run_batch(Lock& lock, MicroBatch& batch) {
  running_.push_back(&batch);
  stats_.micro_batches++;
  const bool splits = batch.sequences.size() == 1 && threads_ > 1 && !open_team_ &&
                      batch.tokens >= batch.model->engine().split_tokens();
  std::shared_ptr<SharedTeam> team;
  try {
    if (splits) team = std::make_shared<SharedTeam>(threads_);
  } catch (const std::bad_alloc&) {
    // The pass goes unsplit.
  }
  if (team) {
    open_team_ = team;
    changed_.notify_all();
  }
  lock.unlock();
  const auto began = Clock::now();
  std::exception_ptr error;
  const auto dimensions = static_cast<size_t>(batch.model->engine().info().dimensions);
  static thread_local std::vector<float> rows;
  try {
    rows.resize(batch.sequences.size() * dimensions);
    std::vector<SequenceView> views;
    views.reserve(batch.sequences.size());
    for (size_t i = 0; i < batch.sequences.size(); i++) {
      const auto& ids = batch.sequences[i]->ids;
      views.push_back({ids.data(), static_cast<int32_t>(ids.size()), rows.data() + i * dimensions});
    }
    const auto lease = batch.model->lease(static_cast<int32_t>(batch.tokens));
    SoloTeam solo;
    Team& crew = team ? static_cast<Team&>(*team) : solo;
    batch.model->engine().forward(**lease, views.data(), static_cast<int32_t>(views.size()), crew, batch.cancelled);
  } catch (...) {
    error = std::current_exception();
  }
  if (team) team->finish();
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  if (error) {
    fail_batch(batch, error);
  } else {
    for (size_t i = 0; i < batch.sequences.size(); i++) {
      for (const auto& target : batch.sequences[i]->targets) target.job->deliver(target.index, rows.data() + i * dimensions);
    }
  }
  lock.lock();
  if (team) open_team_ = nullptr;
  running_.erase(std::find(running_.begin(), running_.end(), &batch));
  for (const auto& job : batch.jobs) {
    job->running--;
    if (job->is_settled()) remove_from_queue(job);
  }
  if (!error) note_rate(batch.tokens, seconds);
  changed_.notify_all();
}

void Scheduler::fail_batch(MicroBatch& batch, const std::exception_ptr& error) {
  for (const auto& sequence : batch.sequences) {
    for (const auto& target : sequence->targets) {
      Failure failure = failure_of(error, "run a pass");
      if (failure.code == FailureCode::aborted && stopping_) failure = Failure(FailureCode::disposed, "process exits");
      target.job->fail_text(target.index, std::move(failure));
    }
  }
}

// Without memory for so much as a unit of work, the job that is next goes, and with it what it holds.
void Scheduler::fail_oldest() {
  for (const auto& lane : lanes_) {
    if (lane.empty()) continue;
    const auto job = lane.front()->jobs.front();
    job->fail(out_of_memory());
    stats_.failed++;
    return remove_from_queue(job);
  }
}

void Scheduler::note_rate(int64_t tokens, double seconds) {
  stats_.total_tokens += tokens;
  if (seconds <= 0) return;
  const double rate = static_cast<double>(tokens) / seconds * std::max<double>(1, static_cast<double>(running_.size() + 1));
  stats_.tokens_per_second = stats_.tokens_per_second == 0 ? rate : 0.9 * stats_.tokens_per_second + 0.1 * rate;
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
    if (open_team_) {
      const auto team = open_team_;
      lock.unlock();
      team->join(work_waits_);
      lock.lock();
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
  int64_t units = static_cast<int64_t>(running_.size()) + tokenizing_ + (open_team_ ? threads_ : 0);
  for (const auto& lane : lanes_) {
    for (const auto& queue : lane) {
      int64_t passes = 0;
      for (const auto& job : queue->jobs) {
        if (units >= threads_) return threads_;
        if (!job->chunks.empty()) units += 1 + static_cast<int64_t>(job->waiting_bytes / tokenize_unit_bytes);
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
  return stats_;
}

}  // namespace inlay
