#include <doctest/doctest.h>

#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <numeric>

#include "runtime_crew.h"

using namespace inlay;
using namespace inlay::test;

namespace {

std::vector<std::string> texts_of(const std::string& head, int32_t count, size_t length = 20) {
  std::vector<std::string> texts;
  for (int32_t i = 0; i < count; i++) {
    texts.push_back(head + std::to_string(i));
    texts.back().resize(length, '.');
  }
  return texts;
}

void check_vectors(const Call& call) {
  REQUIRE_FALSE(call.job->failure().has_value());
  for (size_t i = 0; i < call.texts.size(); i++) CHECK(call.row(i) == FakeEngine::expected(call.texts[i]));
}

JobOptions in_lane(Lane lane) {
  auto options = plain_options();
  options.lane = lane;
  return options;
}

std::string order_of_passes(const FakeEngine& engine) {
  std::string order;
  for (const auto& heads : engine.first_bytes()) order += heads.front();
  return order;
}

}  // namespace

TEST_CASE("a job's texts become vectors of their own, whatever thread runs them") {
  for (const auto& [threads, leaders] : {std::pair{1, 1}, {2, 2}, {4, 1}}) {
    Workbench bench(threads, leaders);
    const auto call = bench.submit(texts_of("t", 500));
    bench.listener->await(*call.job);
    check_vectors(call);
    CHECK(std::all_of(call.tokens().begin(), call.tokens().end(), [](int32_t count) { return count == 22; }));
    bench.finish();
    CHECK(is_empty(bench.scheduler.stats()));
    CHECK(bench.scheduler.stats().total_texts == 500);
    CHECK(bench.scheduler.stats().total_tokens == 500 * 22);
  }
}

TEST_CASE("texts that come in pieces are embedded as they come") {
  Workbench bench(2, 2);
  const auto call = bench.open(texts_of("t", 30));
  for (size_t from = 0; from < 30; from += 10) {
    bench.scheduler.append(call.job, chunk_of(call.texts, from, from + 10), bench.crew);
    bench.crew.join();
    CHECK(call.job->is_settled() == (from == 20));
  }
  check_vectors(call);
}

TEST_CASE("what waits is merged into common micro-batches") {
  Workbench bench(1, 1);
  const auto first = bench.block();
  std::vector<Call> calls;
  for (int32_t i = 0; i < 16; i++) calls.push_back(bench.submit({"m" + std::to_string(i)}));
  bench.engine->gate.open();
  bench.crew.join();
  for (const auto& call : calls) check_vectors(call);
  CHECK(bench.engine->passes().size() == 2);  // 16 texts of four or five tokens fit one of 128
  CHECK(bench.engine->passes()[1].size() == 16);
}

TEST_CASE("no micro-batch holds more than its tokens, and a longer text runs alone") {
  Workbench bench(1, 1);
  const auto first = bench.block();
  auto texts = texts_of("t", 40, 30);
  texts.push_back(std::string(250, 'l'));
  const auto call = bench.submit(texts);
  bench.engine->gate.open();
  bench.crew.join();
  check_vectors(call);
  for (const auto& pass : bench.engine->passes()) {
    CHECK((pass.size() == 1 || std::accumulate(pass.begin(), pass.end(), 0) <= 128));
  }
}

TEST_CASE("interactive work goes first, bulk work still gets one micro-batch of eight") {
  Workbench bench(1, 1);
  const auto first = bench.block();
  const auto bulk = bench.submit_ids(texts_of("b", 10, 126), in_lane(Lane::bulk));
  const auto interactive = bench.submit_ids(texts_of("i", 28, 126));
  bench.engine->gate.open();
  bench.crew.join();
  check_vectors(bulk);
  check_vectors(interactive);
  const auto order = order_of_passes(*bench.engine);
  CHECK(order == "x" "iiiiii" "b" "iiiiiii" "b" "iiiiiii" "b" "iiiiiii" "b" "i" "bbbbbb");
}

TEST_CASE("jobs of one lane take turns") {
  Workbench bench(1, 1);
  const auto first = bench.block();
  const auto a = bench.submit_ids(texts_of("a", 5, 126));
  const auto b = bench.submit_ids(texts_of("b", 5, 126));
  bench.engine->gate.open();
  bench.crew.join();
  CHECK(order_of_passes(*bench.engine) == "xababababab");
}

TEST_CASE("identical texts in the queue are computed once, and each job gets its own copy") {
  Workbench bench(1, 1);
  const auto first = bench.block();
  const auto a = bench.submit_ids({"same", "own a"});
  const auto b = bench.submit_ids({"own b", "same", "same"});
  bench.engine->gate.open();
  bench.crew.join();
  check_vectors(a);
  check_vectors(b);
  CHECK(bench.scheduler.stats().deduplicated == 2);
  CHECK(bench.engine->passes()[1].size() == 3);
}

TEST_CASE("a text outlives the job that brought it where another one wants it") {
  Workbench bench(1, 1);
  const auto first = bench.block();
  const auto owner = bench.submit_ids({"same", "own"});
  const auto heir = bench.submit_ids({"same"});
  bench.scheduler.cancel(owner.job, Failure(FailureCode::aborted, ""));
  bench.engine->gate.open();
  bench.crew.join();
  check_vectors(heir);
  CHECK(owner.job->failure()->code == FailureCode::aborted);
  CHECK(bench.engine->passes()[1].size() == 1);
  CHECK(is_empty(bench.scheduler.stats()));
}

TEST_CASE("a text that nobody wants any more leaves the queue, in whatever order its jobs go") {
  for (const bool owner_first : {true, false}) {
    Workbench bench(1, 1);
    const auto first = bench.block();
    const auto owner = bench.submit_ids({"same"});
    const auto twin = bench.submit_ids({"same"});
    for (const auto* call : {owner_first ? &owner : &twin, owner_first ? &twin : &owner}) {
      bench.scheduler.cancel(call->job, Failure(FailureCode::aborted, ""));
    }
    CHECK(is_empty(bench.scheduler.stats()));
    bench.engine->gate.open();
    bench.crew.join();
    CHECK(bench.engine->passes().size() == 1);
    check_vectors(first);
  }
}

TEST_CASE("a pass that nobody waits for any more ends early") {
  Workbench bench(1, 1);
  const auto call = bench.block();
  bench.scheduler.cancel(call.job, Failure(FailureCode::aborted, "stop"));
  bench.crew.join();  // with the gate still closed
  CHECK(bench.listener->times(*call.job) == 1);
  CHECK(bench.scheduler.stats().aborted == 1);
  CHECK(is_empty(bench.scheduler.stats()));
}

TEST_CASE("one text's failure is its job's failure, with its index, or stands beside the others' vectors") {
  const std::vector<std::string> texts{"fine", "a $", "a !", "a ~", "a %", "fine too"};
  const std::vector<std::pair<int64_t, FailureCode>> faults{{1, FailureCode::input_invalid},
                                                            {2, FailureCode::model_invalid},
                                                            {3, FailureCode::model_invalid},
                                                            {4, FailureCode::out_of_memory}};
  SUBCASE("collected") {
    Workbench bench(2, 2);
    auto options = plain_options();
    options.collect_failures = true;
    const auto call = bench.submit(texts, options);
    bench.listener->await(*call.job);
    CHECK_FALSE(call.job->failure().has_value());
    CHECK(call.row(0) == FakeEngine::expected("fine"));
    CHECK(call.row(5) == FakeEngine::expected("fine too"));
    auto failures = call.job->text_failures();
    std::sort(failures.begin(), failures.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
    REQUIRE(failures.size() == faults.size());
    for (size_t i = 0; i < faults.size(); i++) {
      CHECK(failures[i].index == faults[i].first);
      CHECK(failures[i].code == faults[i].second);
    }
    CHECK(bench.scheduler.stats().failed == 0);
  }
  SUBCASE("not collected") {
    for (const auto& [index, code] : faults) {
      Workbench bench(2, 2);
      const auto call = bench.submit({"fine", texts[static_cast<size_t>(index)]});
      bench.listener->await(*call.job);
      REQUIRE(call.job->failure().has_value());
      CHECK(call.job->failure()->code == code);
      CHECK(call.job->failure()->index == 1);
      bench.crew.join();
      CHECK(bench.scheduler.stats().failed == 1);
      CHECK(is_empty(bench.scheduler.stats()));
    }
  }
}

TEST_CASE("a pass that fails fails the texts in it, and later ones succeed") {
  Workbench bench(1, 1);
  const auto broken = bench.submit({"#"});
  bench.listener->await(*broken.job);
  CHECK(broken.job->failure()->code == FailureCode::device);
  const auto next = bench.submit({"next"});
  bench.listener->await(*next.job);
  check_vectors(next);
}

TEST_CASE("texts beyond the limit are cut and reported, or refused with the numbers") {
  Workbench bench(1, 1);
  auto options = plain_options();
  options.limit = 10;
  const auto cut = bench.submit({"short", "much longer than ten"}, options);
  bench.listener->await(*cut.job);
  CHECK(cut.job->truncated() == std::vector<int64_t>{1});
  CHECK(cut.tokens() == std::vector<int32_t>{7, 10});
  CHECK(cut.row(1) == FakeEngine::expected("much longer than ten", 10));
  options.truncate = false;
  const auto refused = bench.submit({"short", "much longer than ten"}, options);
  bench.listener->await(*refused.job);
  const auto& failure = *refused.job->failure();
  CHECK(failure.code == FailureCode::input_too_long);
  CHECK(failure.index == 1);
  CHECK(failure.tokens == 22);
  CHECK(failure.limit == 10);
}

TEST_CASE("tokenising gives ids and runs no pass") {
  Workbench bench(1, 1);
  auto options = plain_options();
  options.kind = JobKind::tokenize;
  const auto call = bench.submit({"ab", ""}, options);
  bench.listener->await(*call.job);
  CHECK(call.job->ids() == std::vector<std::vector<int32_t>>{{0, 2 + 'a', 2 + 'b', 1}, {0, 1}});
  CHECK(bench.engine->passes().empty());
}

TEST_CASE("passes of a job, and of a model, never exceed their number; helpers bring what the pool lacks") {
  Workbench bench(4, 1);
  bench.engine->gate.close();
  auto options = plain_options();
  SUBCASE("a job's threads") {
    options.threads = 2;
    const auto call = bench.submit_ids(texts_of("t", 40, 126), options);
    bench.engine->gate.await(2);
    bench.engine->gate.open();
    bench.listener->await(*call.job);
    CHECK(bench.engine->most_running == 2);
  }
  SUBCASE("an engine's passes") {
    bench.engine->most_passes = 1;
    const auto call = bench.submit_ids(texts_of("t", 40, 126), options);
    bench.engine->gate.await(1);
    bench.engine->gate.open();
    bench.listener->await(*call.job);
    CHECK(bench.engine->most_running == 1);
  }
  SUBCASE("all threads") {
    const auto call = bench.submit_ids(texts_of("t", 40, 126), options);
    bench.engine->gate.await(4);
    bench.engine->gate.open();
    bench.listener->await(*call.job);
    CHECK(bench.engine->most_running == 4);
  }
}

TEST_CASE("a lone long text is split between as many threads as the job may have and keeps its bits") {
  for (int32_t threads : {1, 2, 0}) {
    Workbench bench(4, 2);
    bench.engine->split = 50;
    auto options = plain_options();
    options.threads = threads;
    for (int32_t i = 0; i < 200; i++) {
      const auto call = bench.submit({std::string(static_cast<size_t>(60 + i % 100), 's')}, options);
      bench.listener->await(*call.job);
      check_vectors(call);
    }
    CHECK(bench.engine->most_in_team <= (threads > 0 ? threads : 4));
  }
}

TEST_CASE("past its bounds the queue refuses, says for how long, and takes work again") {
  Workbench bench(1, 1, {1000, 1 << 20});
  const auto first = bench.block();
  const auto fits = bench.submit(texts_of("t", 9, 100));
  try {
    bench.open(texts_of("u", 2, 100));
    FAIL("admitted");
  } catch (const Failure& failure) {
    CHECK(failure.code == FailureCode::queue_full);
    CHECK(failure.limit >= 100);
  }
  bench.scheduler.cancel(fits.job, Failure(FailureCode::aborted, ""));
  const auto next = bench.submit(texts_of("v", 9, 100));
  bench.engine->gate.open();
  bench.crew.join();
  check_vectors(next);
  // Alone, a job may be larger than the queue; admitted and cancelled before any text came, it leaves nothing.
  const auto large = bench.open(texts_of("w", 20, 100));
  CHECK_THROWS_AS(bench.open({"x"}), Failure);
  bench.scheduler.cancel(large.job, Failure(FailureCode::aborted, ""));
  check_vectors([&] {
    auto call = bench.submit(texts_of("w", 20, 100));
    bench.listener->await(*call.job);
    return call;
  }());
}

TEST_CASE("many callers with random aborts: every job settles once, right or aborted, and nothing stays") {
  Workbench bench(3, 2);
  constexpr int32_t callers = 4, calls_each = 300;
  std::atomic<int32_t> wrong{0}, aborted{0};
  std::vector<std::thread> threads;
  for (int32_t caller = 0; caller < callers; caller++) {
    threads.emplace_back([&, caller] {
      uint32_t state = 77u + static_cast<uint32_t>(caller);
      const auto random = [&](uint32_t below) { return (state = state * 1664525u + 1013904223u) / 65536u % below; };
      std::vector<Call> open_calls;
      for (int32_t i = 0; i < calls_each; i++) {
        std::vector<std::string> texts;
        for (uint32_t n = 1 + random(6); n > 0; n--) texts.push_back("text " + std::to_string(random(60)));
        auto options = in_lane(random(3) == 0 ? Lane::bulk : Lane::interactive);
        options.threads = static_cast<int32_t>(random(3));
        open_calls.push_back(random(2) == 0 ? bench.submit(texts, options) : bench.submit_ids(texts, options));
        if (random(3) == 0) {
          bench.scheduler.cancel(open_calls[random(static_cast<uint32_t>(open_calls.size()))].job,
                                 Failure(FailureCode::aborted, ""));
        }
      }
      for (const auto& call : open_calls) {
        bench.listener->await(*call.job);
        if (bench.listener->times(*call.job) != 1) wrong++;
        if (call.job->failure()) {
          call.job->failure()->code == FailureCode::aborted ? aborted++ : wrong++;
          continue;
        }
        for (size_t k = 0; k < call.texts.size(); k++) wrong += call.row(k) != FakeEngine::expected(call.texts[k]);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  bench.finish();
  CHECK(wrong == 0);
  CHECK(aborted > 0);
  CHECK(bench.scheduler.stats().total_jobs == callers * calls_each);
  CHECK(bench.scheduler.stats().aborted == aborted);
  CHECK(is_empty(bench.scheduler.stats()));
}

TEST_CASE("shutdown ends the passes that run, and later work is refused") {
  Workbench bench(3, 1);
  bench.engine->gate.close();
  const auto call = bench.submit_ids(texts_of("t", 20, 126));
  bench.engine->gate.await(3);
  bench.scheduler.shutdown();  // with the gate still closed
  bench.crew.join();
  CHECK(call.job->failure()->code == FailureCode::disposed);
  CHECK(bench.listener->times(*call.job) == 1);
  CHECK_THROWS_AS(bench.open({"late"}), Failure);
  bench.scheduler.cancel(call.job, Failure(FailureCode::disposed, ""));
}

#ifndef _WIN32
TEST_CASE("a child that was forked after the start gets an error, not a deadlock") {
  Workbench bench(1, 1);
  const pid_t child = fork();
  if (child == 0) {
    try {
      bench.open({"text"});
    } catch (const Failure& failure) {
      _exit(failure.code == FailureCode::internal ? 0 : 2);
    }
    _exit(1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}
#endif

TEST_CASE("a model's workspaces are used again, and an oversized one is kept once") {
  auto made = std::make_unique<FakeEngine>();
  Model model(std::move(made), "", {});
  model.lease(100);
  const auto usual = model.workspace_bytes();
  CHECK(usual == 128 * FakeEngine::dimensions * sizeof(float));
  model.lease(128);
  CHECK(model.workspace_bytes() == usual);
  {
    const auto a = model.lease(1000);
    const auto b = model.lease(1000);
    CHECK(model.workspace_bytes() == usual + 2 * 8 * usual);
  }
  CHECK(model.workspace_bytes() == usual + 8 * usual);
  model.trim();
  CHECK(model.workspace_bytes() == 0);
}
