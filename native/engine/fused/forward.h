#pragma once

#include <atomic>
#include <cstdint>

#include "engine/engine.h"
#include "engine/fused/model.h"
#include "engine/fused/workspace.h"

namespace inlay::fused {

// One pass: the pooled vector of each sequence into its row. `team` is used where `split` is true, and then only to
// cut the same work into tasks: the results are the same, bit for bit.
// Throws Failure(aborted) between layers once `cancelled` is set.
void forward(const Model& model, FusedWorkspace& workspace, const SequenceView* sequences, int32_t count, Team& team,
             bool split, const std::atomic<bool>& cancelled);

}  // namespace inlay::fused
