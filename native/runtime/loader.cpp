#include "runtime/loader.h"

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <future>
#include <map>
#include <mutex>

#include "engine/fused/fused.h"
#include "engine/ggml/ggml_engine.h"
#include "engine/ggml/llama_tokenizer.h"
#include "failure.h"
#include "gguf/reader.h"
#include "gguf/heal.h"
#include "gguf/validate.h"
#include "runtime/content_hash.h"
#include "runtime/team.h"
#include "runtime/vectors.h"
#include "tokenizer/tokenizer.h"

namespace inlay {
namespace {

// The process's models by file identity and options. Leaked on purpose: environments end in any order.
struct Registry {
  std::mutex mutex;
  std::condition_variable loaded;
  struct Entry {
    std::weak_ptr<Model> model;
    bool loading = false;
  };
  std::map<std::string, Entry> entries;
};
Registry& registry() {
  static auto* const instance = new Registry();
  return *instance;
}

// A file replaced at the same path is another file; a file changed in place has another time or size.
std::string identity(const gguf::Reader& file, const LoadRequest& request) {
  struct stat facts {};
  fstat(file.descriptor(), &facts);
  int64_t nanoseconds = 0;
#ifdef __linux__
  nanoseconds = facts.st_mtim.tv_nsec;
#endif
  const auto& o = request.options;
  std::string key;
  for (const int64_t part :
       {static_cast<int64_t>(facts.st_dev), static_cast<int64_t>(facts.st_ino), static_cast<int64_t>(facts.st_size),
        static_cast<int64_t>(facts.st_mtime), nanoseconds, static_cast<int64_t>(request.engine),
        static_cast<int64_t>(o.pooling), static_cast<int64_t>(o.context_length), static_cast<int64_t>(o.gpu_layers),
        static_cast<int64_t>(o.mmap), static_cast<int64_t>(o.check_tensors)}) {
    key += std::to_string(part) + ':';
  }
#ifdef _WIN32
  key += o.path + ':';  // no inode numbers there
#endif
  return key + o.device + ':' + o.precision + ':' + o.tokenizer;
}

void require_memory(uint64_t needed, uint64_t left) {
  if (needed <= left) return;
  const auto mib = [](uint64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return std::string(text);
  };
  throw Failure(FailureCode::out_of_memory, "The model's weights take " + mib(needed) + ", the memory budget has " +
                                                mib(left) + " left; unload another model or raise INLAY_MEMORY.");
}

EngineChoice choose_engine(const gguf::Reader& file, const LoadRequest& request) {
  const bool on_cpu = request.options.device == "cpu";
  if (request.engine == EngineChoice::fused && !on_cpu) {
    throw Failure(FailureCode::model_unsupported, "The fused engine runs on the CPU only.");
  }
  if (request.engine != EngineChoice::automatic) return request.engine;
  return on_cpu && fused_supports(file) ? EngineChoice::fused : EngineChoice::ggml;
}

std::unique_ptr<Tokenizer> create_tokenizer(const gguf::Reader& file, const LoadOptions& options) {
  auto exact = options.tokenizer == "exact" ? Tokenizer::create(file) : nullptr;
  return exact ? std::move(exact) : create_llama_tokenizer(file);
}

std::unique_ptr<Engine> create_engine(EngineChoice choice, std::unique_ptr<gguf::Reader> file, const LoadRequest& request,
                                      LoadControl& control) {
  auto tokenizer = create_tokenizer(*file, request.options);
  if (choice == EngineChoice::fused) return create_fused_engine(std::move(file), std::move(tokenizer), request.options);
  LoadProgress progress;
  progress.context = &control;
  progress.report = [](float fraction, void* context) {
    auto& control = *static_cast<LoadControl*>(context);
    control.fraction.store(fraction, std::memory_order_relaxed);
    return !control.cancelled.load(std::memory_order_relaxed);
  };
  return create_ggml_engine(std::move(file), std::move(tokenizer), request.options, progress);
}

// Two texts through the model as it will run: what no look at the file can prove.
void try_out(const Engine& engine) {
  const auto& info = engine.info();
  const auto dimensions = static_cast<size_t>(info.dimensions);
  std::vector<std::vector<float>> vectors;
  SoloTeam team;
  const std::atomic<bool> cancelled{false};
  for (const char* text : {"canary", "The quick brown fox jumps over the lazy dog."}) {
    auto ids = engine.prefix();
    engine.tokenize(text, false, ids);
    ids.insert(ids.end(), engine.suffix().begin(), engine.suffix().end());
    if (ids.empty()) continue;
    ids.resize(std::min(ids.size(), static_cast<size_t>(info.context_length)));
    std::vector<float> pooled(dimensions);
    const auto workspace = engine.create_workspace(static_cast<int32_t>(ids.size()));
    const SequenceView view{ids.data(), static_cast<int32_t>(ids.size()), pooled.data()};
    engine.forward(*workspace, &view, 1, team, cancelled);
    vectors.emplace_back(dimensions);
    if (write_vector(pooled.data(), info.dimensions, true, vectors.back().data()) != VectorFault::none) {
      Failure failure(FailureCode::model_invalid, "The model gives no usable vector for a plain text; its weights are damaged.");
      failure.rule = "CANARY_VECTOR";
      throw failure;
    }
  }
  if (vectors.size() == 2 && vectors[0] == vectors[1]) {
    Failure failure(FailureCode::model_invalid, "The model gives two different texts the same vector; its weights are damaged.");
    failure.rule = "CANARY_DISTINCT";
    throw failure;
  }
}

std::string fingerprint_of(const EngineInfo& info, const std::string& content) {
  static const char* const poolings[] = {"none", "mean", "cls", "last"};
  std::string text = std::string("inlay-") + INLAY_BUILD;
  for (const auto& part : {info.engine, info.isa, info.precision, info.device, info.tokenizer,
                           std::string(poolings[std::clamp(static_cast<int>(info.pooling), 0, 3)]), content}) {
    text += "/" + part;
  }
  return text;
}

std::shared_ptr<Model> load_fresh(std::unique_ptr<gguf::Reader> file, const LoadRequest& request, LoadControl& control) {
  auto healed = gguf::heal(*file);
  const EngineChoice choice = choose_engine(*file, request);
  gguf::ValidateOptions checks;
  // The fused engine looks at every weight while it packs them.
  checks.scan_weights = choice == EngineChoice::ggml || request.options.check_tensors;
  checks.pooling_given = request.options.pooling != Pooling::unspecified;
  require_memory(gguf::validate(*file, checks).weight_bytes, request.memory_left);
  // The engine takes the reader; the hash goes on with a descriptor of its own, beside it.
  ContentHash hash(*file);
  auto running = std::async(std::launch::async, [&hash] { return hash.run(); });
  auto engine = create_engine(choice, std::move(file), request, control);
  try_out(*engine);
  const std::string content = running.get();
  if (content.empty()) throw Failure(FailureCode::model_invalid, "The model file shrank while it was read.");
  auto fingerprint = fingerprint_of(engine->info(), content);
  return std::make_shared<Model>(std::move(engine), std::move(fingerprint), std::move(healed));
}

}  // namespace

std::shared_ptr<Model> load_model(const LoadRequest& request, LoadControl& control) {
  auto file = gguf::Reader::open(request.options.path);
  const std::string key = identity(*file, request);
  auto& models = registry();
  {
    std::unique_lock lock(models.mutex);
    auto& entry = models.entries[key];
    for (;;) {
      if (auto model = entry.model.lock()) return model;
      if (!entry.loading) break;
      models.loaded.wait_for(lock, std::chrono::milliseconds(50));
      if (control.cancelled) throw Failure(FailureCode::aborted, "The load was aborted.");
    }
    entry.loading = true;
  }
  std::shared_ptr<Model> model;
  try {
    model = load_fresh(std::move(file), request, control);
    if (control.cancelled) throw Failure(FailureCode::aborted, "The load was aborted.");
  } catch (...) {
    std::lock_guard lock(models.mutex);
    models.entries[key].loading = false;
    models.loaded.notify_all();
    throw;
  }
  std::lock_guard lock(models.mutex);
  models.entries[key] = {model, false};
  models.loaded.notify_all();
  return model;
}

ModelMemory model_memory() {
  ModelMemory memory;
  auto& models = registry();
  std::lock_guard lock(models.mutex);
  for (auto it = models.entries.begin(); it != models.entries.end();) {
    if (const auto model = it->second.model.lock()) {
      memory.weights += model->engine().weight_bytes();
      memory.workspaces += model->workspace_bytes();
      ++it;
    } else {
      it = it->second.loading ? std::next(it) : models.entries.erase(it);
    }
  }
  return memory;
}

}  // namespace inlay
