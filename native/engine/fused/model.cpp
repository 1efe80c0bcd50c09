#include "engine/fused/model.h"

#include <algorithm>
#include <string>

#include "engine/fused/cost.h"
#include "failure.h"

namespace inlay::fused {
namespace {

using kernels::Kernels;
using kernels::Precision;

const Kernels* find_kernels(Precision precision) {
  const char* reason = nullptr;
  const Kernels* found = kernels::select(precision, &reason);
  if (found == nullptr && precision != Precision::f32) {
    throw Failure(FailureCode::model_unsupported, std::string("precision ") + precision_name(precision) + ": " + reason);
  }
  if (found == nullptr) throw Failure(FailureCode::device, reason);
  return found;
}

void choose_kernels(Model& model, const std::string& wanted) {
  const char* reason = nullptr;
  model.precision = Precision::f32;
  if (wanted == "bf16" || (wanted == "auto" && kernels::select(Precision::bf16, &reason) != nullptr)) {
    model.precision = Precision::bf16;
  } else if (wanted == "int8") {
    model.precision = Precision::int8;
  } else if (wanted != "auto" && wanted != "f32") {
    throw Failure(FailureCode::model_unsupported,
                  "the fused engine has no precision " + wanted + "; choose auto, f32, bf16 or int8");
  }
  model.kernels = find_kernels(model.precision);
}

// Where neither the caller nor the file says: what the models of that kind were trained with.
Pooling choose_pooling(const LoadOptions& options, const ModelShape& shape) {
  if (options.pooling != Pooling::unspecified) return options.pooling;
  if (shape.pooling != Pooling::unspecified) return shape.pooling;
  return shape.architecture->causal ? Pooling::last : Pooling::mean;
}

}  // namespace

const char* precision_name(Precision precision) {
  switch (precision) {
    case Precision::bf16: return "bf16";
    case Precision::int8: return "int8";
    default: return "f32";
  }
}

Model load_model(const gguf::Reader& file, const LoadOptions& options) {
  Model model = {};
  model.shape = read_shape(file);
  choose_kernels(model, options.precision);
  model.pooling = choose_pooling(options, model.shape);
  if (options.context_length != 0) {
    model.shape.context = int32_t(std::min<uint32_t>(options.context_length, uint32_t(model.shape.context)));
  }
  model.weights = load_weights(file, model.shape, *model.kernels, model.precision == Precision::int8, options.mmap);
  model.cache_bytes = level2_cache_bytes();
  for (const LayerShape& layer : model.shape.layer) {
    if (model.shape.rotated == 0) {
      model.layer_rotations.push_back(nullptr);
      continue;
    }
    auto at = std::find_if(model.rotations.begin(), model.rotations.end(),
                           [&](const auto& table) { return table->base() == layer.rotary_base; });
    if (at == model.rotations.end()) {
      model.rotations.push_back(std::make_unique<Rotations>(model.shape.context, model.shape.rotated,
                                                                   layer.rotary_base, model.shape.position_scale));
      at = model.rotations.end() - 1;
    }
    model.layer_rotations.push_back((*at)->data());
  }
  return model;
}

}  // namespace inlay::fused
