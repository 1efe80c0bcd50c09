#pragma once

#include "addon/napi_setup.h"

namespace inlay {

// Each file's functions, put onto the addon's exports.
void bind_models(Napi::Env env, Napi::Object exports);
void bind_jobs(Napi::Env env, Napi::Object exports);
void bind_system(Napi::Env env, Napi::Object exports);
void bind_format(Napi::Env env, Napi::Object exports);

}  // namespace inlay
