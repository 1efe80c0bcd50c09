#include "engine/ggml/ggml_engine.h"

#include <ggml-backend.h>
#include <llama.h>

#include <algorithm>
#include <cstring>

#include "engine/ggml/ggml_backend_init.h"
#include "engine/ggml/llama_tokenizer.h"
#include "failure.h"
#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace inlay {
namespace {

using ModelPointer = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using ContextPointer = std::unique_ptr<llama_context, decltype(&llama_free)>;

ggml_backend_dev_t find_device(const std::string& name) {
  for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) continue;
    std::string own = ggml_backend_dev_name(device);  // "CUDA0", "MTL0"
    std::transform(own.begin(), own.end(), own.begin(), [](unsigned char c) { return std::tolower(c); });
    const bool metal = name == "metal" && (own.rfind("mtl", 0) == 0 || own.rfind("metal", 0) == 0);
    const std::string wanted = name == "cuda" ? "cuda0" : name.rfind("cuda:", 0) == 0 ? "cuda" + name.substr(5) : name;
    if (metal || own == wanted) return device;
  }
  throw Failure(FailureCode::device, "This build and machine have no device \"" + name + "\"; `inlay doctor` lists what there is.");
}

Pooling pooling_of(int64_t number) {
  switch (number) {
    case 1: return Pooling::mean;
    case 2: return Pooling::cls;
    case 3: return Pooling::last;
    default: return Pooling::unspecified;
  }
}

// The type most of the weights have, as the name of the precision.
std::string weight_precision(const gguf::Reader& file) {
  const gguf::Tensor* largest = nullptr;
  for (const auto& tensor : file.tensors()) {
    if (tensor.name.rfind("blk.", 0) != 0 || tensor.n_dims < 2) continue;
    if (!largest || tensor.bytes > largest->bytes) largest = &tensor;
  }
  return largest ? gguf::type_name(largest->type) : "f32";
}

class GgmlWorkspace final : public Workspace {
 public:
  GgmlWorkspace(ContextPointer context, int32_t tokens, uint64_t bytes)
      : context(std::move(context)), tokens(tokens), estimate(bytes) {
    batch = llama_batch_init(tokens, 0, 1);
    llama_set_abort_callback(this->context.get(), is_cancelled, this);
  }
  ~GgmlWorkspace() override { llama_batch_free(batch); }
  uint64_t bytes() const override { return estimate; }

  static bool is_cancelled(void* self) {
    const auto* flag = static_cast<GgmlWorkspace*>(self)->cancelled;
    return flag && flag->load(std::memory_order_relaxed);
  }

  ContextPointer context;
  llama_batch batch;
  int32_t tokens;
  const std::atomic<bool>* cancelled = nullptr;  // of the pass that runs
  bool broken = false;                           // a pass threw: the context's state is unknown

 private:
  uint64_t estimate;
};

class GgmlEngine final : public Engine {
 public:
  GgmlEngine(std::unique_ptr<gguf::Reader> file, std::unique_ptr<Tokenizer> tokenizer, const LoadOptions& options,
             LoadProgress progress);

  const EngineInfo& info() const override { return description; }
  void tokenize(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    tokenizer->encode(text, parse_special, ids);
  }
  const std::vector<int32_t>& prefix() const override { return tokenizer->prefix; }
  const std::vector<int32_t>& suffix() const override { return tokenizer->suffix; }

  std::unique_ptr<Workspace> create_workspace(int32_t tokens) const override;
  void forward(Workspace& workspace, const SequenceView* sequences, int32_t count, Team& team,
               const std::atomic<bool>& cancelled) const override;

  int32_t micro_batch_tokens() const override { return on_gpu ? 4096 : 256; }
  int32_t split_tokens() const override { return INT32_MAX; }
  int32_t max_passes() const override { return on_gpu ? 1 : INT32_MAX; }
  uint64_t weight_bytes() const override { return llama_model_size(model.get()); }

 private:
  void load(const LoadOptions& options, LoadProgress progress);
  void describe(const LoadOptions& options);
  ContextPointer create_context(int32_t tokens) const;
  void run_sequence(GgmlWorkspace& workspace, const SequenceView& sequence) const;

  const std::unique_ptr<gguf::Reader> file;
  const std::unique_ptr<Tokenizer> tokenizer;
  ModelPointer model{nullptr, llama_model_free};
  EngineInfo description;
  bool on_gpu = false;
  bool needs_full_context = false;  // longrope picks its factors by the context's size
  bool encodes = false;             // llama_encode rather than llama_decode
};

GgmlEngine::GgmlEngine(std::unique_ptr<gguf::Reader> reader, std::unique_ptr<Tokenizer> tokenizer,
                       const LoadOptions& options, LoadProgress progress)
    : file(std::move(reader)), tokenizer(std::move(tokenizer)) {
  init_ggml_once();
  if (options.precision != "auto") {
    throw Failure(FailureCode::model_unsupported,
                  "The ggml engine computes in the precision of the file; leave `precision` at \"auto\".");
  }
  load(options, progress);
  describe(options);
  // A context made now proves that one can be made at all, and tells whether the model keeps a cache.
  const auto probe = create_context(std::min(description.context_length, 64));
  encodes = llama_get_memory(probe.get()) == nullptr || llama_model_has_encoder(model.get()) ||
            description.architecture == "llama-embed";
}

void GgmlEngine::load(const LoadOptions& options, LoadProgress progress) {
  llama_model_params params = llama_model_default_params();
  ggml_backend_dev_t devices[2] = {nullptr, nullptr};
  on_gpu = options.device != "cpu";
  if (on_gpu) devices[0] = find_device(options.device);
  params.devices = devices;
  params.n_gpu_layers = on_gpu ? options.gpu_layers : 0;
  params.split_mode = LLAMA_SPLIT_MODE_NONE;
  params.load_mode = options.mmap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
  params.check_tensors = options.check_tensors;
  struct Report {
    LoadProgress progress;
    bool cancelled;
  } report{progress, false};
  params.progress_callback_user_data = &report;
  params.progress_callback = [](float fraction, void* context) {
    auto& report = *static_cast<Report*>(context);
    if (report.progress.report && !report.progress.report(fraction, report.progress.context)) report.cancelled = true;
    return !report.cancelled;
  };
  take_ggml_error();
  const auto stream = open_model_stream(*file);
  model.reset(llama_model_load_from_file_ptr(stream.get(), params));
  if (report.cancelled) throw Failure(FailureCode::aborted, "The load was aborted.");
  if (!model) {
    const std::string reason = take_ggml_error();
    const bool memory = reason.find("alloc") != std::string::npos;
    throw Failure(memory ? FailureCode::out_of_memory : FailureCode::model_invalid,
                  "llama.cpp cannot load this model: " + (reason.empty() ? "it gives no reason" : reason) + ".");
  }
}

void GgmlEngine::describe(const LoadOptions& options) {
  auto& d = description;
  d.engine = "ggml";
  d.architecture = file->architecture();
  d.name = std::string(file->string("general.name").value_or(""));
  d.device = on_gpu ? options.device : "cpu";
  d.tokenizer = tokenizer->name;
  d.precision = weight_precision(*file);
#if defined(__x86_64__) || defined(_M_X64)
  d.isa = "avx2";
#else
  d.isa = "neon";
#endif
  d.pooling = pooling_of(static_cast<int64_t>(file->integer(file->hparam_key("pooling_type")).value_or(0)));
  if (options.pooling != Pooling::unspecified) d.pooling = options.pooling;
  if (d.pooling == Pooling::unspecified) {
    throw Failure(FailureCode::model_unsupported,
                  "This file names no pooling type, so it is not known to be an embedding model; if it is one, "
                  "pass `pooling` (\"mean\", \"cls\" or \"last\").");
  }
  d.dimensions = llama_model_n_embd_out(model.get());
  int64_t context = llama_model_n_ctx_train(model.get());
  if (const auto* positions = file->tensor("position_embd.weight")) {
    context = std::min(context, static_cast<int64_t>(positions->ne[1]));
  }
  if (options.context_length > 0) context = std::min<int64_t>(context, options.context_length);
  d.context_length = static_cast<int32_t>(context);
  d.vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
  d.parameters = llama_model_n_params(model.get());
  const auto* embedding = file->tensor("token_embd.weight");
  const uint64_t table = embedding ? embedding->ne[0] * embedding->ne[1] : 0;
  d.flops_per_token = 2.0 * static_cast<double>(d.parameters - std::min(table, d.parameters));
  needs_full_context = file->string(file->hparam_key("rope.scaling.type")).value_or("") == "longrope";
}

ContextPointer GgmlEngine::create_context(int32_t tokens) const {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(needs_full_context ? description.context_length : tokens);
  params.n_batch = static_cast<uint32_t>(tokens);
  params.n_ubatch = static_cast<uint32_t>(tokens);
  params.n_seq_max = 1;
  params.n_threads = 1;
  params.n_threads_batch = 1;
  params.embeddings = true;
  params.pooling_type = static_cast<enum llama_pooling_type>(description.pooling);
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
  params.no_perf = true;
  take_ggml_error();
  ContextPointer context(llama_init_from_model(model.get(), params), llama_free);
  if (!context) {
    throw Failure(FailureCode::out_of_memory, "llama.cpp cannot make a context for " + std::to_string(tokens) +
                                                  " tokens: " + take_ggml_error());
  }
  return context;
}

std::unique_ptr<Workspace> GgmlEngine::create_workspace(int32_t tokens) const {
  tokens = std::clamp(tokens, 1, description.context_length);
  // Activations of a pass as llama.cpp's allocator lays them out, some 24 rows of the width for each token.
  const uint64_t bytes = static_cast<uint64_t>(tokens) * static_cast<uint64_t>(description.dimensions) * 24 * sizeof(float);
  return std::make_unique<GgmlWorkspace>(create_context(tokens), tokens, bytes);
}

void GgmlEngine::forward(Workspace& base, const SequenceView* sequences, int32_t count, Team&,
                         const std::atomic<bool>& cancelled) const {
  auto& workspace = static_cast<GgmlWorkspace&>(base);
  if (workspace.broken) {
    workspace.context = create_context(workspace.tokens);
    llama_set_abort_callback(workspace.context.get(), GgmlWorkspace::is_cancelled, &workspace);
    workspace.broken = false;
  }
  workspace.cancelled = &cancelled;
  // One sequence per ubatch: no mask over neighbours, and the same bits whoever the neighbours are.
  for (int32_t i = 0; i < count; i++) {
    if (cancelled.load(std::memory_order_relaxed)) throw Failure(FailureCode::aborted, "The pass was cancelled.");
    try {
      run_sequence(workspace, sequences[i]);
    } catch (...) {
      workspace.broken = true;
      workspace.cancelled = nullptr;
      throw;
    }
  }
  workspace.cancelled = nullptr;
}

void GgmlEngine::run_sequence(GgmlWorkspace& workspace, const SequenceView& sequence) const {
  // Everything llama.cpp would assert on, which would end the process.
  if (sequence.count < 1 || sequence.count > workspace.tokens) {
    throw Failure(FailureCode::internal, "A sequence of " + std::to_string(sequence.count) +
                                             " tokens does not fit a workspace of " + std::to_string(workspace.tokens) + ".");
  }
  llama_batch& batch = workspace.batch;
  batch.n_tokens = sequence.count;
  for (int32_t i = 0; i < sequence.count; i++) {
    const int32_t id = sequence.ids[i];
    if (id < 0 || id >= description.vocabulary) {
      throw Failure(FailureCode::input_invalid, "Token id " + std::to_string(id) + " is outside the vocabulary of " +
                                                    std::to_string(description.vocabulary) + " tokens.");
    }
    batch.token[i] = id;
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  llama_context* context = workspace.context.get();
  take_ggml_error();
  int32_t status;
  try {
    if (encodes) {
      status = llama_encode(context, batch);
    } else {
      llama_memory_clear(llama_get_memory(context), false);
      status = llama_decode(context, batch);
    }
  } catch (const std::exception& error) {
    throw Failure(FailureCode::out_of_memory, std::string("llama.cpp could not run a pass: ") + error.what());
  }
  if (status == 2) throw Failure(FailureCode::aborted, "The pass was cancelled.");
  if (status != 0) {
    throw Failure(status == -2 ? FailureCode::out_of_memory : FailureCode::internal,
                  "llama.cpp could not run a pass (status " + std::to_string(status) + "): " + take_ggml_error());
  }
  const float* row = llama_get_embeddings_seq(context, 0);
  if (!row) throw Failure(FailureCode::internal, "llama.cpp gave no vector for a sequence.");
  std::memcpy(sequence.row, row, static_cast<size_t>(description.dimensions) * sizeof(float));
}

}  // namespace

std::unique_ptr<Engine> create_ggml_engine(std::unique_ptr<gguf::Reader> file, std::unique_ptr<Tokenizer> tokenizer,
                                           const LoadOptions& options, LoadProgress progress) {
  return std::make_unique<GgmlEngine>(std::move(file), std::move(tokenizer), options, progress);
}

std::vector<GgmlDevice> ggml_devices() {
  init_ggml_once();
  std::vector<GgmlDevice> devices;
  for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    size_t free = 0;
    size_t total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    std::string name = ggml_backend_dev_name(device);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (name.rfind("cuda", 0) == 0 && name.size() > 4) name.insert(4, ":");
    if (name.rfind("mtl", 0) == 0) name = "metal";
    devices.push_back({name, ggml_backend_dev_description(device), free, total});
  }
  return devices;
}

std::string llama_version_text() { return INLAY_LLAMA_VERSION; }

}  // namespace inlay
