#include "addon/bindings.h"
#include "addon/environment.h"
#include "addon/handles.h"

namespace inlay {
namespace {

const char* pooling_name(Pooling pooling) {
  switch (pooling) {
    case Pooling::mean: return "mean";
    case Pooling::cls: return "cls";
    case Pooling::last: return "last";
    default: return "none";
  }
}

Napi::Object describe_model(Napi::Env env, const Model& model) {
  const auto& info = model.engine().info();
  auto object = Napi::Object::New(env);
  object["engine"] = info.engine;
  object["architecture"] = info.architecture;
  object["title"] = info.name;
  object["device"] = info.device;
  object["precision"] = info.precision;
  object["isa"] = info.isa;
  object["tokenizer"] = info.tokenizer;
  object["pooling"] = pooling_name(info.pooling);
  object["dimensions"] = info.dimensions;
  object["contextLength"] = info.context_length;
  object["vocabulary"] = info.vocabulary;
  object["parameters"] = static_cast<double>(info.parameters);
  object["flopsPerToken"] = info.flops_per_token;
  object["specials"] = static_cast<int32_t>(model.engine().prefix().size() + model.engine().suffix().size());
  object["weights"] = static_cast<double>(model.engine().weight_bytes());
  object["fingerprint"] = model.fingerprint();
  auto healed = Napi::Array::New(env);
  for (const auto& sentence : model.healed()) healed[healed.Length()] = sentence;
  object["healed"] = healed;
  return object;
}

LoadRequest read_request(const Napi::Object& options) {
  LoadRequest request;
  const auto text = [&](const char* key) { return options.Get(key).As<Napi::String>().Utf8Value(); };
  const auto number = [&](const char* key) { return options.Get(key).As<Napi::Number>().DoubleValue(); };
  const auto flag = [&](const char* key) { return options.Get(key).As<Napi::Boolean>().Value(); };
  const std::string engine = text("engine");
  request.engine = engine == "fused" ? EngineChoice::fused : engine == "ggml" ? EngineChoice::ggml : EngineChoice::automatic;
  auto& o = request.options;
  o.path = text("path");
  o.device = text("device");
  o.precision = text("precision");
  o.tokenizer = text("tokenizer");
  o.pooling = static_cast<Pooling>(static_cast<int32_t>(number("pooling")));
  o.context_length = static_cast<uint32_t>(number("contextLength"));
  o.gpu_layers = static_cast<int32_t>(number("gpuLayers"));
  o.mmap = flag("mmap");
  o.check_tensors = flag("checkTensors");
  request.memory_left = static_cast<uint64_t>(number("memoryLeft"));
  return request;
}

class LoadWorker final : public Napi::AsyncWorker {
 public:
  LoadWorker(Napi::Env env, LoadRequest request, std::shared_ptr<LoadControl> control)
      : AsyncWorker(env, "inlay:load"), request(std::move(request)), control(std::move(control)),
        deferred(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred.Promise(); }

  void Execute() override {
    try {
      model = load_model(request, *control);
    } catch (const Failure& known) {
      failure = known;
    } catch (const std::bad_alloc&) {
      failure = Failure(FailureCode::out_of_memory, "There is no memory left to load the model.");
    } catch (const std::exception& error) {
      failure = Failure(FailureCode::internal, std::string("The model could not be loaded: ") + error.what());
    }
  }

  void OnOK() override {
    const auto env = Env();
    if (failure) {
      deferred.Reject(describe_failure(env, *failure));
      return;
    }
    auto result = Napi::Object::New(env);
    result["info"] = describe_model(env, *model);
    result["model"] = wrap_handle(env, ModelHandle{std::move(model)});
    deferred.Resolve(result);
  }

 private:
  LoadRequest request;
  std::shared_ptr<LoadControl> control;
  Napi::Promise::Deferred deferred;
  std::shared_ptr<Model> model;
  std::optional<Failure> failure;
};

// Frees a model's memory off the JavaScript thread.
class ReleaseWorker final : public Napi::AsyncWorker {
 public:
  ReleaseWorker(Napi::Env env, std::shared_ptr<Model> model)
      : AsyncWorker(env, "inlay:release"), model(std::move(model)), deferred(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise promise() const { return deferred.Promise(); }
  void Execute() override { model.reset(); }
  void OnOK() override { deferred.Resolve(Env().Undefined()); }

 private:
  std::shared_ptr<Model> model;
  Napi::Promise::Deferred deferred;
};

// load(options) → { promise: Promise<{ model, info }>, control }
Napi::Value load(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  auto control = std::make_shared<LoadControl>();
  auto* worker = new LoadWorker(env, read_request(info[0].As<Napi::Object>()), control);
  auto result = Napi::Object::New(env);
  result["promise"] = worker->promise();
  result["control"] = wrap_handle(env, LoadHandle{control});
  worker->Queue();
  return result;
}

Napi::Value load_progress(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), unwrap_handle<LoadHandle>(info[0]).control->fraction.load());
}

void cancel_load(const Napi::CallbackInfo& info) { unwrap_handle<LoadHandle>(info[0]).control->cancelled = true; }

// releaseModel(model) → Promise: after it the handle is empty; the memory goes when the last user is done.
Napi::Value release_model(const Napi::CallbackInfo& info) {
  auto& handle = unwrap_handle<ModelHandle>(info[0]);
  auto* worker = new ReleaseWorker(info.Env(), std::move(handle.model));
  const auto promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value workspace_bytes(const Napi::CallbackInfo& info) {
  const auto& handle = unwrap_handle<ModelHandle>(info[0]);
  return Napi::Number::New(info.Env(), handle.model ? static_cast<double>(handle.model->workspace_bytes()) : 0);
}

void trim_model(const Napi::CallbackInfo& info) {
  const auto& handle = unwrap_handle<ModelHandle>(info[0]);
  if (handle.model) handle.model->trim();
}

}  // namespace

void bind_models(Napi::Env env, Napi::Object exports) {
  exports["load"] = Napi::Function::New(env, load, "load");
  exports["loadProgress"] = Napi::Function::New(env, load_progress, "loadProgress");
  exports["cancelLoad"] = Napi::Function::New(env, cancel_load, "cancelLoad");
  exports["releaseModel"] = Napi::Function::New(env, release_model, "releaseModel");
  exports["workspaceBytes"] = Napi::Function::New(env, workspace_bytes, "workspaceBytes");
  exports["trimModel"] = Napi::Function::New(env, trim_model, "trimModel");
}

}  // namespace inlay
