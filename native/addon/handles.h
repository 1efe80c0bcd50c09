#pragma once

#include <memory>

#include "addon/napi_setup.h"
#include "runtime/job.h"
#include "runtime/loader.h"

namespace inlay {

// Native objects that JavaScript holds. Each kind has a tag of its own, so that one passed for another, or one made
// by another copy of the addon, is an error and not a bad cast.
struct ModelHandle {
  std::shared_ptr<Model> model;  // null once disposed
};

// Weak: JavaScript may keep its handle until a garbage collection, and a settled job must not keep its model that long.
struct JobHandle {
  std::weak_ptr<Job> job;
  std::shared_ptr<Job::Chunk> open;  // ends in a text whose rest is still to come
  int64_t next = 0;                  // index of the next text
};

struct LoadHandle {
  std::shared_ptr<LoadControl> control;
};

inline const napi_type_tag& tag_of(const ModelHandle*) {
  static const napi_type_tag tag = {0x5d1f0a6b9c3e4a21, 0x8f2b7c6d1e0a4f31};
  return tag;
}
inline const napi_type_tag& tag_of(const JobHandle*) {
  static const napi_type_tag tag = {0x5d1f0a6b9c3e4a22, 0x8f2b7c6d1e0a4f32};
  return tag;
}
inline const napi_type_tag& tag_of(const LoadHandle*) {
  static const napi_type_tag tag = {0x5d1f0a6b9c3e4a23, 0x8f2b7c6d1e0a4f33};
  return tag;
}

template <typename Handle>
Napi::Value wrap_handle(Napi::Env env, Handle handle) {
  auto* owned = new Handle(std::move(handle));
  auto external = Napi::External<Handle>::New(env, owned, [](Napi::BasicEnv, Handle* self) { delete self; });
  external.TypeTag(&tag_of(static_cast<const Handle*>(nullptr)));
  return external;
}

template <typename Handle>
Handle& unwrap_handle(const Napi::Value& value) {
  const auto external = value.As<Napi::External<Handle>>();
  if (!value.IsExternal() || !external.CheckTypeTag(&tag_of(static_cast<const Handle*>(nullptr)))) {
    throw Napi::TypeError::New(value.Env(), "This is not a handle that this copy of inlay made.");
  }
  return *external.Data();
}

}  // namespace inlay
