#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>

#include "engine/fused/fused.h"
#include "failure.h"
#include "fake_engine.h"
#include "fused_models.h"
#include "gguf/heal.h"
#include "gguf/reader.h"
#include "gguf/validate.h"
#include "gguf_models.h"
#include "runtime/scheduler.h"
#include "runtime/team.h"
#include "tokenizer/tokenizer.h"

// The linker sends malloc, free, mmap and munmap of everything in this executable here (CMakeLists.txt: --wrap).
extern "C" {
void* __real_malloc(size_t size);
void __real_free(void* block);
void* __real_mmap(void* start, size_t length, int protection, int flags, int descriptor, long offset);
int __real_munmap(void* start, size_t length);
}

namespace {

std::atomic<int64_t> allocations{0};   // since the counting began
std::atomic<int64_t> failing{0};       // the one that fails, counted from 1; 0: none
std::atomic<bool> later_too{false};    // and all after it
std::atomic<int64_t> living{0};        // blocks and mappings that have not been given back

bool fails() {
  const int64_t number = ++allocations;
  const int64_t chosen = failing;
  return chosen != 0 && (later_too ? number >= chosen : number == chosen);
}

}  // namespace

extern "C" {

void* __wrap_malloc(size_t size) {
  if (fails()) return nullptr;
  living++;
  return __real_malloc(size);
}
void __wrap_free(void* block) {
  if (block) living--;
  __real_free(block);
}
void* __wrap_mmap(void* start, size_t length, int protection, int flags, int descriptor, long offset) {
  if (fails()) return reinterpret_cast<void*>(-1);
  living++;
  return __real_mmap(start, length, protection, flags, descriptor, offset);
}
int __wrap_munmap(void* start, size_t length) {
  living--;
  return __real_munmap(start, length);
}

}  // extern "C"

void* operator new(size_t size) {
  if (fails()) throw std::bad_alloc();
  living++;
  return __real_malloc(size);
}
void* operator new(size_t size, std::align_val_t alignment) {
  if (fails()) throw std::bad_alloc();
  living++;
  const auto step = static_cast<size_t>(alignment);
  return std::aligned_alloc(step, (size + step - 1) / step * step);
}
void operator delete(void* block) noexcept { __wrap_free(block); }
void operator delete(void* block, size_t) noexcept { __wrap_free(block); }
void operator delete(void* block, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { __wrap_free(block); }

namespace {

using namespace inlay;

// Runs `body` with its first allocation failing, then its second, … until it needs no more: each time it must succeed
// or end with an error that says there is no memory, and give back what it took. Returns how many it makes.
int64_t fail_each_allocation(const std::function<void()>& body) {
  body();  // tables and thread-local buffers that stay get made here
  for (const bool all : {false, true}) {
    later_too = all;
    for (int64_t number = 1;; number++) {
      const int64_t before = living;
      bool refused = false;
      std::string wrong;
      allocations = 0;
      failing = number;
      try {
        body();
      } catch (const Failure& failure) {
        failing = 0;
        refused = true;
        if (failure.code != FailureCode::out_of_memory) wrong = failure.message;
      } catch (const std::bad_alloc&) {
        refused = true;
      }
      failing = 0;
      CAPTURE(number);
      CAPTURE(all);
      CHECK(wrong == "");
      CHECK(living == before);
      if (allocations < number && !refused) break;
      REQUIRE(number < 1'000'000);
    }
  }
  later_too = false;
  allocations = 0;
  body();
  return allocations;
}

std::unique_ptr<gguf::Reader> open(const inlay::test::TemporaryFile& file) {
  auto reader = gguf::Reader::open(file.path());
  gguf::heal(*reader);
  return reader;
}

}  // namespace

TEST_CASE("a model file is read and validated, whichever allocation fails") {
  for (const auto* name : {"bert", "xlm-r", "qwen3"}) {
    CAPTURE(name);
    const inlay::test::TemporaryFile file(gguf::test::tiny_model(name).bytes());
    gguf::ValidateOptions checks;
    checks.scan_weights = true;
    CHECK(fail_each_allocation([&] { gguf::validate(*open(file), checks); }) > 20);
  }
}

TEST_CASE("a tokenizer is made and encodes, whichever allocation fails") {
  for (const auto* name : {"bert", "xlm-r", "qwen3"}) {
    CAPTURE(name);
    const inlay::test::TemporaryFile file(gguf::test::tiny_model(name).bytes());
    const auto reader = open(file);
    CHECK(fail_each_allocation([&] {
            const auto tokenizer = Tokenizer::create(*reader);
            std::vector<int32_t> ids;
            tokenizer->encode("Some wörds, an 漢字 and a longer one: incomprehensibilities.", false, ids);
          }) > 10);
  }
}

TEST_CASE("the fused engine loads and runs, whichever allocation fails") {
  for (const auto* name : {"bert", "nomic-bert-moe", "qwen3"}) {
    CAPTURE(name);
    const inlay::test::TemporaryFile file(gguf::test::tiny_model(name).bytes());
    LoadOptions options;
    options.path = file.path();
    options.precision = "f32";
    CHECK(fail_each_allocation([&] {
            auto reader = open(file);
            auto tokenizer = Tokenizer::create(*reader);
            const auto engine = create_fused_engine(std::move(reader), std::move(tokenizer), options);
            auto ids = engine->prefix();
            engine->tokenize("a text", false, ids);
            ids.insert(ids.end(), engine->suffix().begin(), engine->suffix().end());
            if (ids.empty()) ids.push_back(0);
            std::vector<float> row(static_cast<size_t>(engine->info().dimensions));
            const SequenceView view{ids.data(), static_cast<int32_t>(ids.size()), row.data()};
            SoloTeam team;
            const std::atomic<bool> cancelled{false};
            const auto workspace = engine->create_workspace(view.count);
            engine->forward(*workspace, &view, 1, team, cancelled);
          }) > 50);
  }
}

namespace {

// One thread is everybody: it asks, leads, and hears the outcome.
class Lone final : public LeaderHost, public JobListener {
 public:
  void request_leader() noexcept override { asked++; }
  void settled(std::shared_ptr<Job>) noexcept override { times++; }
  int32_t asked = 0;
  int32_t times = 0;
};

struct Outcome {
  int32_t settled = 0;
  bool right = false;
};

Outcome embed_through(Scheduler& scheduler, const std::shared_ptr<Model>& model, Lane lane) {
  using Engine = inlay::test::FakeEngine;
  const std::string bytes = "one textanother textone text";
  const std::vector<uint64_t> ends{8, 20, 28};
  std::vector<float> rows(ends.size() * Engine::dimensions);
  std::vector<int32_t> tokens(ends.size());
  const auto host = std::make_shared<Lone>();
  JobOptions options;
  options.lane = lane;
  options.dimensions = Engine::dimensions;
  options.limit = 12;
  const auto job = std::make_shared<Job>(model, options, int64_t(ends.size()), rows.data(), tokens.data(), host);
  try {
    auto chunk = std::make_shared<Job::Chunk>();
    chunk->bytes = bytes;
    chunk->ends = ends;
    scheduler.admit(job, bytes.size());
    scheduler.append(job, std::move(chunk), *host);
  } catch (const std::exception&) {
    scheduler.cancel(job, out_of_memory());  // as JavaScript does when handing texts over fails
  }
  while (!job->is_settled()) {
    scheduler.leader_queued();
    scheduler.lead();
  }
  if (!job->failure()) {
    failing = 0;
    const auto expected = Engine::expected("another text", options.limit);
    return {host->times, std::equal(expected.begin(), expected.end(), rows.begin() + Engine::dimensions)};
  }
  return {host->times, job->failure()->code == FailureCode::out_of_memory};
}

}  // namespace

TEST_CASE("a job goes through the scheduler and settles once, whichever allocation fails") {
  Scheduler scheduler;  // no helper threads: nobody outlives it
  scheduler.configure(1, 1, {});
  for (const auto lane : {Lane::interactive, Lane::bulk}) {
    CHECK(fail_each_allocation([&] {
            auto engine = std::make_unique<inlay::test::FakeEngine>();
            const auto model = std::make_shared<Model>(std::move(engine), "", std::vector<std::string>());
            const auto outcome = embed_through(scheduler, model, lane);
            failing = 0;
            CHECK(outcome.settled == 1);
            CHECK(outcome.right);
            const auto stats = scheduler.stats();
            CHECK(stats.jobs + stats.texts + stats.tokens + static_cast<int64_t>(stats.bytes) == 0);
          }) > 20);
  }
}
