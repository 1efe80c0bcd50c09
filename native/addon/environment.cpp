#include "addon/environment.h"

#include <algorithm>

namespace inlay {
namespace {

// Settling a job costs microseconds; a slice of them keeps the event loop's turns short.
constexpr size_t jobs_per_turn = 256;

using Holder = std::shared_ptr<Environment>;

// Whether the environment still runs JavaScript. While one is torn down, Node completes the work that its pool holds
// before any cleanup hook runs, and new work queued then would keep the teardown waiting.
bool runs_javascript(napi_env env) {
  napi_value object;
  bool has = false;
  return napi_create_object(env, &object) == napi_ok && napi_has_named_property(env, object, "x", &has) == napi_ok;
}

// The process's environments. An environment that ends takes its leaders along; the work that they would have done,
// other environments' too, needs leaders from those that live on.
struct Environments {
  std::mutex mutex;
  std::vector<std::weak_ptr<Environment>> all;

  template <typename Visit>
  void each(Visit visit) noexcept {
    std::lock_guard lock(mutex);
    all.erase(std::remove_if(all.begin(), all.end(), [](const auto& one) { return one.expired(); }), all.end());
    for (const auto& one : all) {
      if (const auto environment = one.lock()) visit(*environment);
    }
  }
};
Environments& environments() {
  static auto* const instance = new Environments();  // never destroyed: environments end in any order
  return *instance;
}

struct LeaderWork {
  napi_async_work work = nullptr;
  std::shared_ptr<Environment> environment;
  bool ran = false;
};

Napi::Value truncated_list(Napi::Env env, const Job& job) {
  auto list = Napi::Array::New(env, job.truncated().size());
  for (size_t i = 0; i < job.truncated().size(); i++) list[static_cast<uint32_t>(i)] = static_cast<double>(job.truncated()[i]);
  return list;
}

Napi::Value id_lists(Napi::Env env, Job& job) {
  auto lists = Napi::Array::New(env, job.ids().size());
  for (size_t i = 0; i < job.ids().size(); i++) {
    const auto& ids = job.ids()[i];
    auto array = Napi::Int32Array::New(env, ids.size());
    std::copy(ids.begin(), ids.end(), array.Data());
    lists[static_cast<uint32_t>(i)] = array;
  }
  return lists;
}

}  // namespace

Napi::Object describe_failure(Napi::Env env, const Failure& failure) {
  auto object = Napi::Object::New(env);
  object["code"] = static_cast<int32_t>(failure.code);
  object["message"] = failure.message;
  if (failure.index >= 0) object["index"] = static_cast<double>(failure.index);
  if (failure.tokens >= 0) object["tokens"] = static_cast<double>(failure.tokens);
  if (failure.limit >= 0) {
    object[failure.code == FailureCode::queue_full ? "retryAfter" : "limit"] = static_cast<double>(failure.limit);
  }
  if (!failure.rule.empty()) object["rule"] = failure.rule;
  return object;
}

void throw_failure(Napi::Env env, const Failure& failure) {
  auto error = Napi::Error::New(env, failure.message);
  error.Set("failure", describe_failure(env, failure));
  throw error;
}

std::shared_ptr<Environment> Environment::create(Napi::Env env) {
  const std::shared_ptr<Environment> self(new Environment(env));
  // Before the hook: hooks run last in, first out, so ours comes before the threadsafe function's own.
  self->open_mailbox();
  env.AddCleanupHook([holder = new Holder(self)] {
    (*holder)->close();
    delete holder;
  });
  env.SetInstanceData(new Holder(self));
  std::lock_guard lock(environments().mutex);
  environments().all.push_back(self);
  return self;
}

std::shared_ptr<Environment> Environment::of(Napi::Env env) { return *env.GetInstanceData<Holder>(); }

void Environment::open_mailbox() {
  napi_value name;
  napi_create_string_utf8(env_, "inlay", NAPI_AUTO_LENGTH, &name);
  const auto status = napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                                      on_message, &mailbox_);
  if (status != napi_ok) throw Napi::Error::New(env_, "inlay cannot open its mailbox in this environment.");
  napi_unref_threadsafe_function(env_, mailbox_);
}

Napi::Promise Environment::watch(const std::shared_ptr<Job>& job, Napi::Value rows, Napi::Value tokens) {
  auto deferred = Napi::Promise::Deferred::New(env_);
  const auto promise = deferred.Promise();
  Pending pending{job, deferred, {}, {}};
  if (rows.IsTypedArray()) pending.rows = Napi::Reference<Napi::Value>::New(rows, 1);
  if (tokens.IsTypedArray()) pending.tokens = Napi::Reference<Napi::Value>::New(tokens, 1);
  pending_.emplace(job.get(), std::move(pending));
  {
    // Room for every pending job: where they settle there may be no memory left.
    std::lock_guard lock(mutex_);
    if (arrived_.capacity() < pending_.size()) arrived_.reserve(2 * pending_.size());
  }
  if (pending_.size() == 1) napi_ref_threadsafe_function(env_, mailbox_);
  return promise;
}

void Environment::settled(std::shared_ptr<Job> job) noexcept {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  arrived_.push_back(std::move(job));
  if (announced_) return;
  announced_ = napi_call_threadsafe_function(mailbox_, nullptr, napi_tsfn_nonblocking) == napi_ok;
}

void Environment::on_message(napi_env env, napi_value, void* context, void*) {
  if (!env) return;  // torn down: close() has taken the jobs
  auto& self = *static_cast<Environment*>(context);
  self.empty_mailbox();
  bool leads = false;
  {
    std::lock_guard lock(self.mutex_);
    std::swap(leads, self.lead_offered_);
  }
  if (leads) self.request_leaders();
}

void Environment::empty_mailbox() {
  std::vector<std::shared_ptr<Job>> jobs;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (arrived_.size() <= jobs_per_turn) {
      jobs.assign(std::make_move_iterator(arrived_.begin()), std::make_move_iterator(arrived_.end()));
      arrived_.clear();
      announced_ = false;
    } else {
      const auto end = arrived_.begin() + jobs_per_turn;
      jobs.assign(std::make_move_iterator(arrived_.begin()), std::make_move_iterator(end));
      arrived_.erase(arrived_.begin(), end);
      announced_ = napi_call_threadsafe_function(mailbox_, nullptr, napi_tsfn_nonblocking) == napi_ok;
    }
  }
  const Napi::HandleScope scope(env_);
  for (const auto& job : jobs) {
    const auto found = pending_.find(job.get());
    if (found == pending_.end()) continue;
    Pending pending = std::move(found->second);
    pending_.erase(found);
    settle(pending);
  }
  if (pending_.empty()) napi_unref_threadsafe_function(env_, mailbox_);
}

void Environment::settle(Pending& pending) {
  const Napi::Env env(env_);
  Job& job = *pending.job;
  try {
    if (job.failure()) {
      pending.deferred.Reject(describe_failure(env, *job.failure()));
      return;
    }
    auto result = Napi::Object::New(env);
    if (job.options().kind == JobKind::tokenize) result["ids"] = id_lists(env, job);
    else result["truncated"] = truncated_list(env, job);
    if (!job.text_failures().empty()) {
      auto failures = Napi::Array::New(env, job.text_failures().size());
      for (size_t i = 0; i < job.text_failures().size(); i++) {
        failures[static_cast<uint32_t>(i)] = describe_failure(env, job.text_failures()[i]);
      }
      result["failures"] = failures;
    }
    pending.deferred.Resolve(result);
  } catch (const Napi::Error&) {
    // The environment stops running JavaScript: there is nobody left to tell.
  }
}

void Environment::request_leader() noexcept {
  auto* leader = new (std::nothrow) LeaderWork{nullptr, shared_from_this()};
  if (!leader) return;
  napi_value name;
  if (napi_create_string_utf8(env_, "inlay:leader", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env_, nullptr, name, lead, leader_done, leader, &leader->work) != napi_ok) {
    delete leader;
    return;
  }
  Scheduler::instance().leader_queued();
  if (napi_queue_async_work(env_, leader->work) != napi_ok) {
    Scheduler::instance().leader_dropped();
    napi_delete_async_work(env_, leader->work);
    delete leader;
  }
}

void Environment::lead(napi_env, void* data) {
  static_cast<LeaderWork*>(data)->ran = true;
  Scheduler::instance().lead();
}

void Environment::leader_done(napi_env env, napi_status, void* data) {
  const std::unique_ptr<LeaderWork> leader(static_cast<LeaderWork*>(data));
  if (!leader->ran) Scheduler::instance().leader_dropped();
  napi_delete_async_work(env, leader->work);
  if (runs_javascript(env)) return leader->environment->request_leaders();
  environments().each([&](Environment& other) {
    if (&other != leader->environment.get()) other.offer_lead();
  });
}

void Environment::request_leaders() noexcept {
  while (Scheduler::instance().wants_leader()) request_leader();
}

void Environment::offer_lead() noexcept {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  lead_offered_ = napi_call_threadsafe_function(mailbox_, nullptr, napi_tsfn_nonblocking) == napi_ok;
}

void Environment::close() noexcept {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    arrived_.clear();
  }
  for (auto& [key, pending] : pending_) {
    Scheduler::instance().cancel(pending.job, Failure(FailureCode::disposed, "The environment has ended."));
  }
  pending_.clear();
  napi_release_threadsafe_function(mailbox_, napi_tsfn_abort);
}

}  // namespace inlay
