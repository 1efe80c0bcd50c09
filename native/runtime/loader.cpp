#include "runtime/loader.h"

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>

#include "engine/ggml/ggml_engine.h"
#include "failure.h"
#include "gguf/reader.h"
#if __has_include("engine/fused/fused.h")
#include "engine/fused/fused.h"
#else
namespace inlay {
static bool fused_supports(const gguf::Reader&) { return false; }
static std::unique_ptr<Engine> create_fused_engine(std::unique_ptr<gguf::Reader>, const LoadOptions&) { throw Failure(FailureCode::model_unsupported, "not yet"); }
}
#endif
#include "runtime/content_hash.h"

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

uint64_t weight_bytes(const gguf::Reader& file) {
  uint64_t bytes = 0;
  for (const auto& tensor : file.tensors()) bytes += tensor.bytes;
  return bytes;
}

void require_memory(const gguf::Reader& file, uint64_t left) {
  const uint64_t needed = weight_bytes(file);
  if (needed <= left) return;
  const auto mib = [](uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
  throw Failure(FailureCode::out_of_memory, "The model's weights take " + mib(needed) + ", the memory budget has " +
                                                mib(left) + " left; unload another model or raise INLAY_MEMORY.");
}

std::unique_ptr<Engine> create_engine(std::unique_ptr<gguf::Reader> file, const LoadRequest& request, LoadControl& control) {
  const bool on_cpu = request.options.device == "cpu";
  const bool fused = request.engine == EngineChoice::fused ||
                     (request.engine == EngineChoice::automatic && on_cpu && fused_supports(*file));
  if (fused) {
    if (!on_cpu) throw Failure(FailureCode::model_unsupported, "The fused engine runs on the CPU only.");
    return create_fused_engine(std::move(file), request.options);
  }
  LoadProgress progress;
  progress.context = &control;
  progress.report = [](float fraction, void* context) {
    auto& control = *static_cast<LoadControl*>(context);
    control.fraction.store(fraction, std::memory_order_relaxed);
    return !control.cancelled.load(std::memory_order_relaxed);
  };
  return create_ggml_engine(std::move(file), request.options, progress);
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
  require_memory(*file, request.memory_left);
  // The engine takes the reader; the hash goes on with a descriptor of its own, beside it.
  ContentHash hash(*file);
  auto running = std::async(std::launch::async, [&hash] { return hash.run(); });
  auto engine = create_engine(std::move(file), request, control);
  const std::string content = running.get();
  if (content.empty()) throw Failure(FailureCode::model_invalid, "The model file shrank while it was read.");
  auto fingerprint = fingerprint_of(engine->info(), content);
  return std::make_shared<Model>(std::move(engine), std::move(fingerprint), std::vector<std::string>{});
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
