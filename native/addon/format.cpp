#include <charconv>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "addon/bindings.h"

namespace inlay {
namespace {

class FormatWorker final : public Napi::AsyncWorker {
 public:
  FormatWorker(Napi::Env env, const Napi::Float32Array& floats)
      : AsyncWorker(env, "inlay:format"), values(floats.Data(), floats.Data() + floats.ElementLength()),
        deferred(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred.Promise(); }

  void Execute() override {
    // A float32's shortest decimal has at most 9 digits, sign, point and a four-character exponent.
    constexpr size_t longest = 16;
    text.resize(values.size() * (longest + 1));
    char* out = text.data();
    for (size_t i = 0; i < values.size(); i++) {
      if (!std::isfinite(values[i])) return SetError("A value is not finite and has no JSON form.");
      if (i > 0) *out++ = ',';
      out = std::to_chars(out, out + longest, values[i]).ptr;
    }
    text.resize(static_cast<size_t>(out - text.data()));
  }

  void OnOK() override {
    auto bytes = Napi::Uint8Array::New(Env(), text.size());
    std::memcpy(bytes.Data(), text.data(), text.size());
    deferred.Resolve(bytes);
  }
  void OnError(const Napi::Error& error) override { deferred.Reject(error.Value()); }

 private:
  std::vector<float> values;
  std::string text;
  Napi::Promise::Deferred deferred;
};

Napi::Value format_floats(const Napi::CallbackInfo& info) {
  const auto value = info[0].As<Napi::Float32Array>();
  if (!info[0].IsTypedArray() || value.TypedArrayType() != napi_float32_array) {
    throw Napi::TypeError::New(info.Env(), "values is not a Float32Array");
  }
  auto* worker = new FormatWorker(info.Env(), value);
  const auto promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace

void bind_format(Napi::Env env, Napi::Object exports) {
  exports["formatFloats"] = Napi::Function::New(env, format_floats, "formatFloats");
}

}  // namespace inlay
