#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "addon/napi_setup.h"
#include "runtime/job.h"
#include "runtime/scheduler.h"

namespace inlay {

// What one Node environment (the main thread, a worker) holds of the runtime: its unsettled jobs, the mailbox that
// other threads put settled ones into, and the leaders that its libuv pool lends.
//
// Rules
//   - Everything but settled() happens on the environment's JavaScript thread.
//   - settled() touches the threadsafe function under `mutex_` and only while `closed_` is false. The cleanup hook
//     sets it; after that no thread touches it (Node 24.15 to 24.19 abort on a release after teardown).
//   - The threadsafe function keeps the event loop alive only while jobs are pending.
//   - The hook cancels the jobs before it returns. From then on no thread writes into the environment's memory:
//     a job's rows are given up under the job's own lock.
class Environment final : public JobListener, public LeaderHost, public std::enable_shared_from_this<Environment> {
 public:
  static std::shared_ptr<Environment> create(Napi::Env env);
  static std::shared_ptr<Environment> of(Napi::Env env);

  // Keeps the result's memory and the promise until the job settles.
  Napi::Promise watch(const std::shared_ptr<Job>& job, Napi::Value rows, Napi::Value tokens);

  void settled(std::shared_ptr<Job> job) noexcept override;
  void request_leader() noexcept override;

 private:
  struct Pending {
    std::shared_ptr<Job> job;
    Napi::Promise::Deferred deferred;
    Napi::Reference<Napi::Value> rows;
    Napi::Reference<Napi::Value> tokens;
  };

  explicit Environment(napi_env env) : env_(env) {}
  void open_mailbox();
  void close() noexcept;
  void empty_mailbox();
  void request_leaders() noexcept;
  void offer_lead() noexcept;  // on any thread
  void settle(Pending& pending);
  static void on_message(napi_env env, napi_value, void* context, void*);
  static void lead(napi_env, void*);
  static void leader_done(napi_env env, napi_status status, void* work);

  const napi_env env_;
  std::unordered_map<Job*, Pending> pending_;
  std::mutex mutex_;
  napi_threadsafe_function mailbox_ = nullptr;
  std::vector<std::shared_ptr<Job>> arrived_;
  bool announced_ = false;  // a message is under way
  bool lead_offered_ = false;
  bool closed_ = false;
};

// The plain object that lib/errors.ts makes an InlayError of.
Napi::Object describe_failure(Napi::Env env, const Failure& failure);
// The same as something to throw.
[[noreturn]] void throw_failure(Napi::Env env, const Failure& failure);

}  // namespace inlay
