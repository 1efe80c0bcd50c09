#include "runtime/model.h"

#include <algorithm>

namespace inlay {
namespace {

// Passes come in micro-batches of one size; only a long text needs more. Powers of two keep workspaces few.
int32_t workspace_size(const Engine& engine, int32_t tokens) {
  int32_t size = std::max(64, engine.micro_batch_tokens());
  while (size < tokens) size = size > INT32_MAX / 2 ? tokens : size * 2;
  return size;
}

// Idle workspaces above this many are dropped, the largest first.
constexpr size_t most_idle = 128;

}  // namespace

Model::Model(std::unique_ptr<Engine> engine, std::string fingerprint, std::vector<std::string> healed)
    : engine_(std::move(engine)), fingerprint_(std::move(fingerprint)), healed_(std::move(healed)) {}

std::unique_ptr<Model::Lease> Model::lease(int32_t tokens) {
  {
    std::lock_guard lock(mutex);
    const auto fits = [&](const Idle& one) { return one.tokens >= tokens; };
    // Back to front: the one used last is warm in the cache.
    const auto found = std::find_if(idle.rbegin(), idle.rend(), fits);
    if (found != idle.rend()) {
      auto workspace = std::move(found->workspace);
      const int32_t size = found->tokens;
      idle.erase(std::next(found).base());
      return std::make_unique<Lease>(*this, std::move(workspace), size);
    }
  }
  const int32_t size = workspace_size(*engine_, tokens);
  auto workspace = engine_->create_workspace(size);
  const uint64_t held = workspace->bytes();
  auto leased = std::make_unique<Lease>(*this, std::move(workspace), size);
  std::lock_guard lock(mutex);
  bytes += held;
  return leased;
}

Model::Lease::~Lease() { model.give_back(std::move(workspace), tokens); }

void Model::give_back(std::unique_ptr<Workspace> workspace, int32_t tokens) {
  std::unique_ptr<Workspace> dropped;
  std::lock_guard lock(mutex);
  // One oversized workspace is kept for the next long text; more would hold memory that nothing uses.
  const int32_t usual = workspace_size(*engine_, 0);
  const bool oversized = tokens > usual;
  const bool have_large = oversized && std::any_of(idle.begin(), idle.end(), [&](const Idle& i) { return i.tokens >= tokens; });
  if (!have_large && idle.size() < most_idle) {
    try {
      idle.reserve(idle.size() + 1);
      idle.push_back({std::move(workspace), tokens});
      return;
    } catch (const std::bad_alloc&) {
      // Not kept, then.
    }
  }
  bytes -= workspace->bytes();
  dropped = std::move(workspace);
}

void Model::trim() {
  std::vector<Idle> dropped;
  std::lock_guard lock(mutex);
  for (const auto& one : idle) bytes -= one.workspace->bytes();
  dropped.swap(idle);
}

uint64_t Model::workspace_bytes() const {
  std::lock_guard lock(mutex);
  return bytes;
}

}  // namespace inlay
