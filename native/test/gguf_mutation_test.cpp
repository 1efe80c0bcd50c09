#include <doctest/doctest.h>

#include <cstdlib>
#include <map>

#ifdef __linux__
#include <sys/resource.h>
#endif

#include "gguf_judge.h"
#include "gguf_mutator.h"

using namespace inlay::gguf::test;

namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

// INLAY_MUTATIONS: how many; INLAY_SEED: the first one's seed. A failing file is mutated_file(seed).
TEST_CASE("mutated files fail by a rule or pass, quickly and within bounded memory") {
  const uint64_t count = from_environment("INLAY_MUTATIONS", 2000), first = from_environment("INLAY_SEED", 1);
  std::map<std::string, int> rules;
  double slowest = 0;
  for (uint64_t seed = first; seed < first + count; seed++) {
    CAPTURE(seed);
    const Outcome outcome = judge_bytes(mutated_file(seed));
    if (outcome.rule.compare(0, 5, "GGUF_") != 0) REQUIRE_MESSAGE(outcome.rule == "", outcome.message);
    rules[outcome.rule]++;
    slowest = outcome.seconds > slowest ? outcome.seconds : slowest;
  }
  CHECK(slowest < 1);
  CHECK(rules[""] > static_cast<int>(count / 100));  // some faults do no harm
  CHECK(rules.size() > 20);                          // and the others are of many kinds
#ifdef __linux__
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  MESSAGE(count << " mutations, slowest " << slowest << " s, peak " << usage.ru_maxrss / 1024 << " MiB, "
                << rules.size() << " outcomes, " << rules[""] << " pass");
#if !defined(__SANITIZE_ADDRESS__)
  CHECK(usage.ru_maxrss < 256 * 1024);
#endif
#endif
}
