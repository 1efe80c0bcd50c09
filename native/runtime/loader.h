#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "runtime/model.h"

namespace inlay {

enum class EngineChoice { automatic, fused, ggml };

struct LoadRequest {
  EngineChoice engine = EngineChoice::automatic;
  LoadOptions options;
  uint64_t memory_left = UINT64_MAX;  // bytes that the weights may take
};

// Progress of one load, watched and cancelled from another thread.
struct LoadControl {
  std::atomic<bool> cancelled{false};
  std::atomic<float> fraction{0};
};

// Loads the model, or shares the copy that the process holds for the same file and options; a load of it that is
// under way is waited for. Throws Failure.
std::shared_ptr<Model> load_model(const LoadRequest& request, LoadControl& control);

// Bytes of all models' weights in the process, and of their workspaces.
struct ModelMemory {
  uint64_t weights = 0;
  uint64_t workspaces = 0;
};
ModelMemory model_memory();

}  // namespace inlay
