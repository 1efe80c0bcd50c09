// The scheduler's units of work: tokenising some texts, and one pass over a micro-batch.

#include <algorithm>

#include "runtime/scheduler.h"

namespace inlay {
namespace {

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
      job.fail_text(index, failure_of(std::current_exception(), "tokenise a text"));
    }
  }
  lock.lock();
  tokenizing_--;
  job.running--;
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
  int32_t threads = 1;
  for (const auto& job : batch.jobs) threads = std::max(threads, threads_for(*job));
  const bool splits = batch.sequences.size() == 1 && threads > 1 && !open_team_ &&
                      batch.tokens >= batch.model->engine().split_tokens();
  std::shared_ptr<SharedTeam> team;
  try {
    if (splits) team = std::make_shared<SharedTeam>(threads);
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
    return remove_from_queue(job);
  }
}

void Scheduler::note_rate(int64_t tokens, double seconds) {
  stats_.total_tokens += tokens;
  if (seconds <= 0) return;
  const double rate = static_cast<double>(tokens) / seconds * std::max<double>(1, static_cast<double>(running_.size() + 1));
  stats_.tokens_per_second = stats_.tokens_per_second == 0 ? rate : 0.9 * stats_.tokens_per_second + 0.1 * rate;
}

}  // namespace inlay
