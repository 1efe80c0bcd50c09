#include "runtime/job.h"

#include <algorithm>

#include "runtime/vectors.h"

namespace inlay {

Job::Job(std::shared_ptr<Model> model, JobOptions options, int64_t count, float* rows, int32_t* tokens,
         std::shared_ptr<JobListener> listener)
    : model_(std::move(model)),
      options_(options),
      count_(count),
      listener_(std::move(listener)),
      rows_(rows),
      tokens_(tokens) {
  if (options_.kind == JobKind::tokenize) ids_.resize(static_cast<size_t>(count));
}

void Job::count_in(JobOutcomes& outcomes) {
  std::lock_guard lock(mutex_);
  outcomes_ = &outcomes;
}

void Job::deliver(int64_t index, const float* vector) noexcept {
  std::unique_lock lock(mutex_);
  if (is_settled()) return;
  const auto fault = write_vector(vector, options_.dimensions, options_.normalize, rows_ + index * options_.dimensions);
  if (fault == VectorFault::none) return finish_one();
  lock.unlock();
  const char* what = fault == VectorFault::zero ? "a vector of zeros" : "a vector that is not finite";
  try {
    fail_text(index, Failure(FailureCode::model_invalid,
                             std::string("The model gives ") + what + " for input " + std::to_string(index) +
                                 "; its weights are damaged or overflow at this precision.",
                             index));
  } catch (const std::bad_alloc&) {
    fail_text(index, out_of_memory());
  }
}

void Job::deliver_ids(int64_t index, std::vector<int32_t> ids) {
  std::lock_guard lock(mutex_);
  if (is_settled()) return;
  ids_[static_cast<size_t>(index)] = std::move(ids);
  finish_one();
}

void Job::note_tokens(int64_t index, int32_t tokens, bool truncated) {
  std::lock_guard lock(mutex_);
  if (is_settled()) return;
  if (tokens_) tokens_[index] = tokens;
  if (truncated) truncated_.push_back(index);
}

void Job::fail_text(int64_t index, Failure failure) noexcept {
  failure.index = index;
  if (!options_.collect_failures || failure.code == FailureCode::aborted) return fail(std::move(failure));
  std::unique_lock lock(mutex_);
  if (is_settled()) return;
  try {
    text_failures_.push_back(std::move(failure));
  } catch (const std::bad_alloc&) {
    lock.unlock();
    return fail(out_of_memory());
  }
  finish_one();
}

void Job::fail(Failure failure) noexcept {
  std::lock_guard lock(mutex_);
  if (is_settled()) return;
  failure_ = std::move(failure);
  settle();
}

void Job::finish_one() {
  if (++done_ == count_) settle();
}

void Job::settle() {
  std::sort(truncated_.begin(), truncated_.end());
  rows_ = nullptr;
  tokens_ = nullptr;
  if (failure_ && outcomes_) (failure_->code == FailureCode::aborted ? outcomes_->aborted : outcomes_->failed)++;
  settled_.store(true, std::memory_order_release);
  listener_->settled(shared_from_this());
}

}  // namespace inlay
