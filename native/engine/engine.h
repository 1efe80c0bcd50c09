#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace inlay {

enum class Pooling : int32_t { unspecified = -1, mean = 1, cls = 2, last = 3 };  // GGUF's numbers

struct LoadOptions {
  std::string path;              // UTF-8
  std::string device = "cpu";    // cpu | cuda | cuda:N | metal
  std::string precision = "auto";  // auto | f32 | bf16 | int8
  std::string tokenizer = "exact";  // exact (where one exists) | llama
  Pooling pooling = Pooling::unspecified;  // override
  uint32_t context_length = 0;   // 0: the model's own
  int32_t gpu_layers = -1;       // -1: all
  bool mmap = false;
  bool check_tensors = false;
};

// Everything about a loaded model that does not change.
struct EngineInfo {
  std::string engine;            // "fused" | "ggml"
  std::string architecture;
  std::string name;              // general.name, "" where absent
  std::string device;            // "cpu", "cuda:0", "metal"
  std::string precision;         // of the products: "f32", "bf16", "int8", or ggml's weight type ("q8_0")
  std::string isa;               // instruction set of the kernels that run
  std::string tokenizer;         // "exact" | "llama"
  Pooling pooling = Pooling::unspecified;
  int32_t dimensions = 0;        // of the vectors that forward() writes
  int32_t context_length = 0;    // tokens, specials included
  int32_t vocabulary = 0;        // tokens
  uint64_t parameters = 0;
  double flops_per_token = 0;    // of the linear layers, for planning and for the benchmark
};

// Token ids of one text, specials included, and where its vector goes.
struct SequenceView {
  const int32_t* ids;
  int32_t count;                 // 1..context_length
  float* row;                    // dimensions floats, written by forward(): pooled, not normalised
};

// What one thread needs to run passes: buffers, a llama_context. Not shared between threads while a pass runs.
class Workspace {
 public:
  virtual ~Workspace() = default;
  virtual uint64_t bytes() const = 0;
};

// Lets idle threads join a pass that splits its work. The runtime implements it; an engine may ignore it.
class Team {
 public:
  virtual ~Team() = default;
  // Runs task(i) for each i in 0..count-1, on this thread and on whoever joins; returns when all have run.
  virtual void run(int32_t count, void (*task)(void* context, int32_t index), void* context) = 0;
  virtual int32_t threads() const = 0;  // that may join, this one included
};

// One loaded model and the code that runs it. All members may be called from any thread.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const EngineInfo& info() const = 0;

  // Appends the ids of `text` without specials; see Tokenizer::encode.
  virtual void tokenize(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const = 0;
  virtual const std::vector<int32_t>& prefix() const = 0;
  virtual const std::vector<int32_t>& suffix() const = 0;

  // A workspace for passes of up to `tokens` tokens in all. Throws Failure(out_of_memory).
  virtual std::unique_ptr<Workspace> create_workspace(int32_t tokens) const = 0;

  // One pass over a micro-batch. Each row depends on its own ids only, bit for bit.
  // Throws Failure; `cancelled` may be looked at between layers and ends the pass with Failure(aborted).
  virtual void forward(Workspace& workspace, const SequenceView* sequences, int32_t count, Team& team,
                       const std::atomic<bool>& cancelled) const = 0;

  // Tokens a micro-batch should hold so that its pass takes some 5 to 20 ms and stays in cache.
  virtual int32_t micro_batch_tokens() const = 0;
  // A lone sequence of this many tokens gains from a Team.
  virtual int32_t split_tokens() const = 0;

  // Passes that may run at once, each in its own workspace.
  virtual int32_t max_passes() const { return INT32_MAX; }

  virtual uint64_t weight_bytes() const = 0;
};

}  // namespace inlay
