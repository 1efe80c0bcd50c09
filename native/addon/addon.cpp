#include "addon/bindings.h"
#include "addon/environment.h"
#include "runtime/machine.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  const std::string missing = inlay::missing_cpu_features();
  if (!missing.empty()) {
    throw Napi::Error::New(env, "This CPU (or the virtual machine around it) lacks " + missing +
                                    ", which inlay needs; every x86-64 CPU since 2015 or so has it.");
  }
  inlay::Environment::create(env);
  inlay::bind_models(env, exports);
  inlay::bind_jobs(env, exports);
  inlay::bind_system(env, exports);
  inlay::bind_format(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(inlay, initialise)
