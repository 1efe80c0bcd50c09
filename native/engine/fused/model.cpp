#include "engine/fused/model.h"

#include <algorithm>
#include <string>

#include "engine/fused/cost.h"
#include "failure.h"

namespace inlay::fused {
namespace {

using kernels::Kernels;

const Kernels& choose_kernels(const std::string& precision) {
  const char* reason = nullptr;
  if (precision == "auto" || precision == "bf16") {
    if (const Kernels* fast = kernels::select(true, &reason)) return *fast;
    if (precision == "bf16") throw Failure(FailureCode::model_unsupported, std::string("precision bf16: ") + reason);
  } else if (precision != "f32") {
    throw Failure(FailureCode::model_unsupported,
                  "the fused engine has no precision " + precision + "; choose auto, f32 or bf16");
  }
  const Kernels* exact = kernels::select(false, &reason);
  if (exact == nullptr) throw Failure(FailureCode::device, reason);
  return *exact;
}

// Where neither the caller nor the file says: what the models of that kind were trained with.
Pooling choose_pooling(const LoadOptions& options, const ModelShape& shape) {
  if (options.pooling != Pooling::unspecified) return options.pooling;
  if (shape.pooling != Pooling::unspecified) return shape.pooling;
  return shape.architecture->causal ? Pooling::last : Pooling::mean;
}

}  // namespace

Model load_model(const gguf::Reader& file, const LoadOptions& options) {
  Model model = {};
  model.shape = read_shape(file);
  model.kernels = &choose_kernels(options.precision);
  model.pooling = choose_pooling(options, model.shape);
  if (options.context_length != 0) {
    model.shape.context = int32_t(std::min<uint32_t>(options.context_length, uint32_t(model.shape.context)));
  }
  model.weights = load_weights(file, model.shape, *model.kernels, options.mmap);
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
