#include <algorithm>

#include "addon/bindings.h"
#include "addon/environment.h"
#include "addon/handles.h"

namespace inlay {
namespace {

constexpr uint64_t most_text_bytes = uint64_t{1} << 30;

// Bits of the `flags` argument, as lib/native.ts sets them.
enum : uint32_t { flag_truncate = 1, flag_normalize = 2, flag_parse_special = 4, flag_add_special = 8, flag_collect = 16, flag_bulk = 32, flag_tokenize = 64 };

JobOptions read_options(uint32_t flags, const Napi::Value& dimensions, const Napi::Value& limit, const Napi::Value& threads) {
  JobOptions options;
  options.kind = flags & flag_tokenize ? JobKind::tokenize : JobKind::embed;
  options.lane = flags & flag_bulk ? Lane::bulk : Lane::interactive;
  options.truncate = flags & flag_truncate;
  options.normalize = flags & flag_normalize;
  options.parse_special = flags & flag_parse_special;
  options.add_special = flags & flag_add_special;
  options.collect_failures = flags & flag_collect;
  options.dimensions = dimensions.As<Napi::Number>().Int32Value();
  options.limit = limit.As<Napi::Number>().Int32Value();
  options.threads = threads.As<Napi::Number>().Int32Value();
  return options;
}

// What would be memory-unsafe if JavaScript had it wrong.
void check_options(Napi::Env env, const Engine& engine, const JobOptions& options) {
  const auto& info = engine.info();
  const bool embeds = options.kind == JobKind::embed;
  if (embeds && (options.dimensions < 1 || options.dimensions > info.dimensions)) {
    throw Napi::RangeError::New(env, "dimensions is outside 1.." + std::to_string(info.dimensions));
  }
  if (embeds && (options.limit < 1 || options.limit > info.context_length)) {
    throw Napi::RangeError::New(env, "limit is outside 1.." + std::to_string(info.context_length));
  }
  const auto specials = static_cast<int32_t>(engine.prefix().size() + engine.suffix().size());
  if (embeds && options.limit < specials) {
    throw_failure(env, Failure(FailureCode::input_invalid, "A context of " + std::to_string(options.limit) +
                                                               " tokens does not even hold the model's " +
                                                               std::to_string(specials) + " special tokens."));
  }
}

float* rows_of(const Napi::Value& value, int64_t count, int32_t dimensions) {
  auto rows = value.As<Napi::Float32Array>();
  if (!value.IsTypedArray() || rows.TypedArrayType() != napi_float32_array ||
      rows.ElementLength() < static_cast<size_t>(count) * static_cast<size_t>(dimensions)) {
    throw Napi::TypeError::New(value.Env(), "rows is not a Float32Array of count × dimensions");
  }
  return rows.Data();
}

int32_t* counts_of(const Napi::Value& value, int64_t count) {
  auto counts = value.As<Napi::Int32Array>();
  if (!value.IsTypedArray() || counts.TypedArrayType() != napi_int32_array ||
      counts.ElementLength() < static_cast<size_t>(count)) {
    throw Napi::TypeError::New(value.Env(), "tokens is not an Int32Array of count");
  }
  return counts.Data();
}

// createJob(model, flags, count, bytes, dimensions, limit, threads, rows | null, tokens) → { job, promise }
Napi::Value create_job(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto& model = unwrap_handle<ModelHandle>(info[0]).model;
  if (!model) throw_failure(env, Failure(FailureCode::disposed, "The model has been disposed of."));
  const auto options = read_options(info[1].As<Napi::Number>().Uint32Value(), info[4], info[5], info[6]);
  check_options(env, model->engine(), options);
  const int64_t count = info[2].As<Napi::Number>().Int64Value();
  if (count < 1 || count > INT32_MAX) throw Napi::RangeError::New(env, "count is outside 1..2^31-1");
  float* rows = options.kind == JobKind::embed ? rows_of(info[7], count, options.dimensions) : nullptr;
  const auto environment = Environment::of(env);
  const auto job = std::make_shared<Job>(model, options, count, rows, counts_of(info[8], count), environment);
  try {
    Scheduler::instance().admit(job, static_cast<uint64_t>(info[3].As<Napi::Number>().Int64Value()));
  } catch (const Failure& failure) {
    throw_failure(env, failure);
  }
  auto result = Napi::Object::New(env);
  result["promise"] = environment->watch(job, info[7], info[8]);
  result["job"] = wrap_handle(env, JobHandle{job, nullptr, 0});
  return result;
}

// UTF-8 of a string, once: lone surrogates become U+FFFD, NUL stays.
void append_utf8(napi_env env, napi_value value, std::string& bytes) {
  size_t units = 0;
  if (napi_get_value_string_utf16(env, value, nullptr, 0, &units) != napi_ok) {
    throw Napi::TypeError::New(env, "a text is not a string");
  }
  const size_t start = bytes.size();
  if (start + 3 * units + 1 > most_text_bytes) {
    throw_failure(env, Failure(FailureCode::input_invalid, "A text may hold at most 1 GiB."));
  }
  bytes.resize(start + 3 * units + 1);  // a UTF-16 unit takes at most three bytes, plus the terminator
  size_t written = 0;
  napi_get_value_string_utf8(env, value, &bytes[start], 3 * units + 1, &written);
  bytes.resize(start + written);
}

void hand_over(Napi::Env env, const std::shared_ptr<Job>& job, std::shared_ptr<Job::Chunk> chunk) {
  try {
    Scheduler::instance().append(job, std::move(chunk), *Environment::of(env));
  } catch (const Failure& failure) {
    Scheduler::instance().cancel(job, failure);
  }
}

// appendTexts(job, texts, from, to, continued): texts[from..to); with `continued` the last one goes on in the next call.
void append_texts(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  auto& handle = unwrap_handle<JobHandle>(info[0]);
  const auto job = handle.job.lock();
  if (!job) return;  // settled already
  const auto texts = info[1].As<Napi::Array>();
  const uint32_t from = info[2].As<Napi::Number>().Uint32Value();
  const uint32_t to = info[3].As<Napi::Number>().Uint32Value();
  const bool continued = info[4].As<Napi::Boolean>().Value();
  auto chunk = handle.open ? std::move(handle.open) : std::make_shared<Job::Chunk>();
  handle.open = nullptr;
  if (chunk->ends.empty()) chunk->first = handle.next;
  for (uint32_t i = from; i < to; i++) {
    napi_value text;
    napi_get_element(env, texts, i, &text);
    append_utf8(env, text, chunk->bytes);
    if (continued && i + 1 == to) {
      handle.open = std::move(chunk);
      return;
    }
    if (handle.next >= job->count()) throw Napi::RangeError::New(env, "more texts than the job's count");
    chunk->ends.push_back(chunk->bytes.size());
    handle.next++;
  }
  hand_over(env, job, std::move(chunk));
}

// appendTokens(job, ids: Int32Array[]): ids without specials, put between the model's own.
void append_tokens(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  auto& handle = unwrap_handle<JobHandle>(info[0]);
  const auto job = handle.job.lock();
  if (!job) return;
  const auto lists = info[1].As<Napi::Array>();
  const auto& engine = job->model()->engine();
  const auto& options = job->options();
  const int64_t first = handle.next;
  std::vector<std::vector<int32_t>> sequences;
  for (uint32_t i = 0; i < lists.Length(); i++) {
    const auto list = lists.Get(i).As<Napi::Int32Array>();
    if (handle.next >= job->count()) throw Napi::RangeError::New(env, "more texts than the job's count");
    const int64_t index = handle.next++;
    auto ids = engine.prefix();
    ids.insert(ids.end(), list.Data(), list.Data() + list.ElementLength());
    const auto total = static_cast<int64_t>(ids.size() + engine.suffix().size());
    const bool too_long = total > options.limit;
    if (too_long && !options.truncate) {
      Failure failure(FailureCode::input_too_long, "Input " + std::to_string(index) + " has " + std::to_string(total) +
                                                       " tokens, the limit is " + std::to_string(options.limit) + ".", index);
      failure.tokens = total;
      failure.limit = options.limit;
      Scheduler::instance().cancel(job, failure);
      return;
    }
    const auto outside = std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= engine.info().vocabulary; });
    if (outside != ids.end()) {
      Scheduler::instance().cancel(job, Failure(FailureCode::input_invalid,
                                                       "Token id " + std::to_string(*outside) + " of input " + std::to_string(index) +
                                                           " is outside the vocabulary of " + std::to_string(engine.info().vocabulary) + " tokens.",
                                                       index));
      return;
    }
    if (too_long) ids.resize(static_cast<size_t>(options.limit) - engine.suffix().size());
    ids.insert(ids.end(), engine.suffix().begin(), engine.suffix().end());
    if (ids.empty()) {
      Scheduler::instance().cancel(job, Failure(FailureCode::input_invalid,
                                                       "Input " + std::to_string(index) + " has no tokens.", index));
      return;
    }
    job->note_tokens(index, static_cast<int32_t>(ids.size()), too_long);
    sequences.push_back(std::move(ids));
  }
  try {
    Scheduler::instance().append_ids(job, first, std::move(sequences), *Environment::of(env));
  } catch (const Failure& failure) {
    Scheduler::instance().cancel(job, failure);
  }
}

// cancelJob(job, code, message)
void cancel_job(const Napi::CallbackInfo& info) {
  const auto job = unwrap_handle<JobHandle>(info[0]).job.lock();
  const auto code = static_cast<FailureCode>(info[1].As<Napi::Number>().Int32Value());
  if (job) Scheduler::instance().cancel(job, Failure(code, info[2].As<Napi::String>().Utf8Value()));
}

Napi::Value has_started(const Napi::CallbackInfo& info) {
  const auto job = unwrap_handle<JobHandle>(info[0]).job.lock();
  return Napi::Boolean::New(info.Env(), !job || Scheduler::instance().has_started(job));
}

}  // namespace

void bind_jobs(Napi::Env env, Napi::Object exports) {
  exports["createJob"] = Napi::Function::New(env, create_job, "createJob");
  exports["appendTexts"] = Napi::Function::New(env, append_texts, "appendTexts");
  exports["appendTokens"] = Napi::Function::New(env, append_tokens, "appendTokens");
  exports["cancelJob"] = Napi::Function::New(env, cancel_job, "cancelJob");
  exports["hasStarted"] = Napi::Function::New(env, has_started, "hasStarted");
}

}  // namespace inlay
