#include "addon/bindings.h"
#include "addon/environment.h"
#include "engine/ggml/ggml_engine.h"
#include "kernels/ceiling.h"
#include "kernels/kernels.h"
#include "runtime/loader.h"
#include "runtime/machine.h"
#include "runtime/scheduler.h"

namespace inlay {
namespace {

Napi::Object describe_machine(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto cores = usable_cores();
  const auto memory = usable_memory();
  auto object = Napi::Object::New(env);
  object["cores"] = cores.cores;
  object["coresWhy"] = cores.why;
  object["memory"] = static_cast<double>(memory.bytes);
  object["memoryWhy"] = memory.why;
  object["uvPoolSize"] = uv_pool_size();
  object["llamaVersion"] = llama_version_text();
  const char* reason = nullptr;
  const auto* f32 = kernels::select(kernels::Precision::f32, &reason);
  const auto* bf16 = kernels::select(kernels::Precision::bf16, &reason);
  const auto* int8 = kernels::select(kernels::Precision::int8, &reason);
  object["isa"] = f32 ? f32->name : "none";
  object["isaBf16"] = bf16 ? bf16->name : "none";
  object["isaInt8"] = int8 ? int8->name : "none";
  auto isas = Napi::Array::New(env);
  for (const auto isa : {kernels::Isa::scalar, kernels::Isa::neon, kernels::Isa::neon_dotprod, kernels::Isa::avx2,
                         kernels::Isa::avx512, kernels::Isa::avx512_vnni, kernels::Isa::avx512_bf16,
                         kernels::Isa::amx_bf16}) {
    if (const auto* table = kernels::find(isa)) isas[isas.Length()] = table->name;
  }
  object["isas"] = isas;
  return object;
}

Napi::Value list_devices(const Napi::CallbackInfo& info) {
  auto list = Napi::Array::New(info.Env());
  for (const auto& device : ggml_devices()) {
    auto object = Napi::Object::New(info.Env());
    object["name"] = device.name;
    object["description"] = device.description;
    object["memoryFree"] = static_cast<double>(device.memory_free);
    object["memoryTotal"] = static_cast<double>(device.memory_total);
    list[list.Length()] = object;
  }
  return list;
}

// ceiling() → { gflops, threads, precision }: what the kernels in use could reach at most on `threads` cores, from a
// register-only loop of some 20 ms on this thread. For `inlay doctor` and the benchmark.
Napi::Value measure_ceiling(const Napi::CallbackInfo& info) {
  const char* reason = nullptr;
  const auto* bf16 = kernels::select(kernels::Precision::bf16, &reason);
  const auto* table = bf16 ? bf16 : kernels::select(kernels::Precision::f32, &reason);
  const int32_t threads = Scheduler::instance().threads();
  auto object = Napi::Object::New(info.Env());
  object["gflops"] = table ? kernels::fma_ceiling_gflops(table->isa) * threads : 0;
  object["threads"] = threads;
  object["precision"] = bf16 ? "bf16" : "f32";
  return object;
}

// configure(threads, maxBytes, maxTokens): 0 leaves a default. Process-wide; the last caller wins.
void configure(const Napi::CallbackInfo& info) {
  QueueLimits limits;
  const double bytes = info[1].As<Napi::Number>().DoubleValue();
  const double tokens = info[2].As<Napi::Number>().DoubleValue();
  if (bytes > 0) limits.bytes = static_cast<uint64_t>(bytes);
  if (tokens > 0) limits.tokens = static_cast<int64_t>(tokens);
  // Two threads of the pool stay free for fs, dns and crypto.
  Scheduler::instance().configure(info[0].As<Napi::Number>().Int32Value(), uv_pool_size() - 2, limits);
}

Napi::Value stats(const Napi::CallbackInfo& info) {
  const auto& scheduler = Scheduler::instance();
  const auto s = Scheduler::instance().stats();
  const auto memory = model_memory();
  auto object = Napi::Object::New(info.Env());
  const auto put = [&](const char* key, double value) { object[key] = value; };
  put("threads", scheduler.threads());
  put("jobs", static_cast<double>(s.jobs));
  put("texts", static_cast<double>(s.texts));
  put("tokens", static_cast<double>(s.tokens));
  put("bytes", static_cast<double>(s.bytes));
  put("maxBytes", static_cast<double>(scheduler.limits().bytes));
  put("maxTokens", static_cast<double>(scheduler.limits().tokens));
  put("totalJobs", static_cast<double>(s.total_jobs));
  put("totalTexts", static_cast<double>(s.total_texts));
  put("totalTokens", static_cast<double>(s.total_tokens));
  put("microBatches", static_cast<double>(s.micro_batches));
  put("deduplicated", static_cast<double>(s.deduplicated));
  put("aborted", static_cast<double>(s.aborted));
  put("failed", static_cast<double>(s.failed));
  put("tokensPerSecond", s.tokens_per_second);
  put("weights", static_cast<double>(memory.weights));
  put("workspaces", static_cast<double>(memory.workspaces));
  put("resident", static_cast<double>(resident_memory()));
  return object;
}

// Only from the main thread's 'exit' event: process.exit() runs no cleanup hooks.
void shutdown(const Napi::CallbackInfo&) { Scheduler::instance().shutdown(); }

}  // namespace

void bind_system(Napi::Env env, Napi::Object exports) {
  exports["machine"] = Napi::Function::New(env, describe_machine, "machine");
  exports["ceiling"] = Napi::Function::New(env, measure_ceiling, "ceiling");
  exports["devices"] = Napi::Function::New(env, list_devices, "devices");
  exports["configure"] = Napi::Function::New(env, configure, "configure");
  exports["stats"] = Napi::Function::New(env, stats, "stats");
  exports["shutdown"] = Napi::Function::New(env, shutdown, "shutdown");
}

}  // namespace inlay
