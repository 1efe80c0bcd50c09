#include "engine/fused/routing.h"

#include <algorithm>
#include <cmath>

namespace inlay::fused {

int32_t most_gathered_rows(int32_t rows, int32_t experts, int32_t used) {
  const int32_t choices = rows * used;
  return choices + (Routing::grain - 1) * std::min(experts, choices);
}

void choose_experts(const float* logits, int32_t experts, int32_t used, int32_t* chosen, float* weights) {
  int32_t found = 0;
  for (int32_t expert = 0; expert < experts; expert++) {
    int32_t at = found;
    while (at > 0 && logits[expert] > logits[chosen[at - 1]]) at--;
    if (at == used) continue;
    found = std::min(found + 1, used);
    for (int32_t i = found - 1; i > at; i--) chosen[i] = chosen[i - 1];
    chosen[at] = expert;
  }
  // In double and rounded once, so that the bits do not hang on whose exp this is.
  const double highest = double(logits[chosen[0]]);
  double total = 0;
  for (int32_t expert = 0; expert < experts; expert++) total += std::exp(double(logits[expert]) - highest);
  std::sort(chosen, chosen + used);
  for (int32_t i = 0; i < used; i++) weights[i] = float(std::exp(double(logits[chosen[i]]) - highest) / total);
}

void place_rows(const Routing& routing, int32_t rows, int32_t experts, int32_t used) {
  const int32_t choices = rows * used;
  std::fill_n(routing.counts, experts, 0);
  for (int32_t i = 0; i < choices; i++) routing.slots[i] = routing.counts[routing.experts[i]]++;
  int32_t start = 0;
  for (int32_t expert = 0; expert < experts; expert++) {
    routing.starts[expert] = start;
    start += (routing.counts[expert] + Routing::grain - 1) / Routing::grain * Routing::grain;
  }
  for (int32_t i = 0; i < choices; i++) routing.slots[i] += routing.starts[routing.experts[i]];
}

}  // namespace inlay::fused
