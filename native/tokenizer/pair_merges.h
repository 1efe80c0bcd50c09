#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tokenizer/scratch.h"

namespace inlay {

// A part of a text, [begin, end), and the token it is; no_token where it is none.
struct Symbol {
  static constexpr int32_t no_token = -1;

  uint32_t begin;
  uint32_t end;
  int32_t id;
};

// What two neighbours become. Lower priorities merge first, equal ones from left to right.
struct PairMerge {
  uint32_t priority;
  int32_t id;  // Symbol::no_token: they do not merge
};

// Byte-pair encoding: merges neighbours for as long as a pair merges, always the one of lowest
// priority. `lookup(left, right)` returns a PairMerge. Quadratic for a handful of symbols, n log n
// for more.
class PairMerger {
 public:
  static PairMerger& of_this_thread() {
    thread_local PairMerger merger;
    return merger;
  }

  template <typename Lookup>
  void merge(std::vector<Symbol>& symbols, Lookup&& lookup) {
    if (symbols.size() <= few) {
      merge_few(symbols, lookup);
    } else {
      merge_many(symbols, lookup);
    }
  }

 private:
  static constexpr size_t few = 24;
  static constexpr uint32_t none = UINT32_MAX;

  template <typename Lookup>
  static void merge_few(std::vector<Symbol>& symbols, Lookup&& lookup) {
    size_t count = symbols.size();
    PairMerge pairs[few];
    for (size_t i = 0; i + 1 < count; i++) pairs[i] = lookup(symbols[i], symbols[i + 1]);
    while (true) {
      size_t best = few;
      for (size_t i = 0; i + 1 < count; i++) {
        if (pairs[i].id == Symbol::no_token) continue;
        if (best == few || pairs[i].priority < pairs[best].priority) best = i;
      }
      if (best == few) break;
      symbols[best].end = symbols[best + 1].end;
      symbols[best].id = pairs[best].id;
      count--;
      for (size_t i = best + 1; i < count; i++) symbols[i] = symbols[i + 1];
      for (size_t i = best + 1; i + 1 < count; i++) pairs[i] = pairs[i + 1];
      if (best > 0) pairs[best - 1] = lookup(symbols[best - 1], symbols[best]);
      if (best + 1 < count) pairs[best] = lookup(symbols[best], symbols[best + 1]);
    }
    symbols.resize(count);
  }

  template <typename Lookup>
  void merge_many(std::vector<Symbol>& symbols, Lookup&& lookup) {
    const Scratch link_scratch(links);
    const Scratch candidate_scratch(candidates);
    const auto count = static_cast<uint32_t>(symbols.size());
    links.resize(count);
    for (uint32_t i = 0; i < count; i++) links[i] = {i - 1, i + 1 < count ? i + 1 : none};
    for (uint32_t i = 0; i + 1 < count; i++) consider(symbols, i, lookup);
    std::make_heap(candidates.begin(), candidates.end());

    while (!candidates.empty()) {
      std::pop_heap(candidates.begin(), candidates.end());
      const Candidate candidate = candidates.back();
      candidates.pop_back();
      const uint32_t left = candidate.left;
      const uint32_t right = links[left].next;
      // A symbol only ever grows to the right, so an end tells whether the pair is still the one
      // considered.
      if (symbols[left].end == symbols[left].begin || right == none ||
          symbols[right].end != candidate.end)
        continue;
      symbols[left].end = candidate.end;
      symbols[left].id = candidate.id;
      symbols[right].end = symbols[right].begin;
      const uint32_t next = links[right].next;
      links[left].next = next;
      if (next != none) {
        links[next].previous = left;
        if (consider(symbols, left, lookup)) std::push_heap(candidates.begin(), candidates.end());
      }
      if (links[left].previous != none && consider(symbols, links[left].previous, lookup)) {
        std::push_heap(candidates.begin(), candidates.end());
      }
    }

    symbols.erase(std::remove_if(symbols.begin(), symbols.end(),
                                 [](const Symbol& symbol) { return symbol.begin == symbol.end; }),
                  symbols.end());
  }

  struct Candidate {
    uint32_t priority;
    uint32_t left;
    uint32_t end;
    int32_t id;

    bool operator<(const Candidate& other) const {  // the heap's top is the greatest
      return priority != other.priority ? priority > other.priority : left > other.left;
    }
  };

  struct Link {
    uint32_t previous;
    uint32_t next;
  };

  // Appends the merge of the symbol `left` and the one after it, where there is one.
  template <typename Lookup>
  bool consider(const std::vector<Symbol>& symbols, uint32_t left, Lookup&& lookup) {
    const Symbol& right = symbols[links[left].next];
    const PairMerge merge = lookup(symbols[left], right);
    if (merge.id == Symbol::no_token) return false;
    candidates.push_back({merge.priority, left, right.end, merge.id});
    return true;
  }

  std::vector<Link> links;
  std::vector<Candidate> candidates;
};

}  // namespace inlay
