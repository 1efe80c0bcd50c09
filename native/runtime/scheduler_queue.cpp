// The scheduler's queue: what waits, and which unit of it is next. Everything here runs under the scheduler's lock.

#include <algorithm>

#include "runtime/scheduler.h"

namespace inlay {
namespace {

// Of eight micro-batches at least one goes to bulk work that waits.
constexpr int32_t most_interactive_in_a_row = 7;

// FNV-1a over the ids; equality is checked on the ids themselves.
uint64_t hash_ids(const std::vector<int32_t>& ids) {
  uint64_t hash = 14695981039346656037u;
  for (const int32_t id : ids) hash = (hash ^ static_cast<uint32_t>(id)) * 1099511628211u;
  return hash;
}

}  // namespace

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
    stats_.total_jobs++;
    return job->count_in(outcomes_);
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
  job->fail(std::move(failure));
  std::lock_guard lock(mutex_);
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

}  // namespace inlay
