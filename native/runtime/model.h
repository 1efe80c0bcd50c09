#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace inlay {

// A loaded model as the process shares it: the engine, and the workspaces of the passes that run or have run.
class Model {
 public:
  Model(std::unique_ptr<Engine> engine, std::string fingerprint, std::vector<std::string> healed);

  const Engine& engine() const { return *engine_; }
  const std::string& fingerprint() const { return fingerprint_; }
  const std::vector<std::string>& healed() const { return healed_; }

  // A workspace for the time of one pass.
  class Lease {
   public:
    Lease(Model& model, std::unique_ptr<Workspace> workspace, int32_t tokens)
        : model(model), workspace(std::move(workspace)), tokens(tokens) {}
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() const { return *workspace; }

   private:
    Model& model;
    std::unique_ptr<Workspace> workspace;
    int32_t tokens;
  };
  std::unique_ptr<Lease> lease(int32_t tokens);

  // Drops the workspaces that no pass uses.
  void trim();
  uint64_t workspace_bytes() const;

 private:
  struct Idle {
    std::unique_ptr<Workspace> workspace;
    int32_t tokens;
  };
  void give_back(std::unique_ptr<Workspace> workspace, int32_t tokens);

  std::unique_ptr<Engine> engine_;
  std::string fingerprint_;
  std::vector<std::string> healed_;
  mutable std::mutex mutex;
  std::vector<Idle> idle;
  uint64_t bytes = 0;  // of all workspaces, leased and idle
};

}  // namespace inlay
