#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "engine/fused/fused.h"
#include "engine/fused/model.h"
#include "fused_models.h"
#include "fused_pass.h"

namespace inlay::test {

using Generator = std::mt19937;

inline int32_t whole(Generator& bits, int32_t low, int32_t high) {
  return std::uniform_int_distribution<int32_t>(low, high)(bits);
}

constexpr const char* architectures[] = {"bert",     "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "modern-bert",
                                         "eurobert", "qwen3",      "gemma-embedding"};

// A small model of odd sizes.
inline ModelSpec random_spec(const std::string& architecture, Generator& bits) {
  ModelSpec spec;
  spec.architecture = architecture;
  spec.layers = uint32_t(whole(bits, 1, 4));
  spec.kv_heads = uint32_t(whole(bits, 1, 3));
  spec.heads = spec.kv_heads;
  if (architecture == "qwen3" || architecture == "gemma-embedding") spec.heads *= uint32_t(whole(bits, 1, 3));
  spec.head_size = 2 * uint32_t(whole(bits, 1, 40));
  spec.width = spec.heads * spec.head_size;
  if (architecture == "qwen3" || architecture == "gemma-embedding") spec.width = uint32_t(whole(bits, 8, 90));
  spec.ffn = uint32_t(whole(bits, 1, 200));
  spec.context = 300;
  spec.vocabulary = 50;
  spec.pooling = uint32_t(whole(bits, 1, 3));
  spec.biased = whole(bits, 0, 1) != 0;
  spec.fused_qkv = whole(bits, 0, 1) != 0;
  spec.type = whole(bits, 0, 1) != 0 ? TensorType::f16 : TensorType::f32;
  if (architecture == "modern-bert" || architecture == "gemma-embedding") {
    spec.window = uint32_t(whole(bits, 1, 40));
    spec.window_pattern = uint32_t(whole(bits, 1, 3));
  }
  if (architecture == "nomic-bert-moe") {
    spec.layers = std::max(2u, spec.layers);
    spec.experts = uint32_t(whole(bits, 2, 6));
    spec.experts_used = uint32_t(whole(bits, 1, std::min(3, int32_t(spec.experts))));
    spec.experts_every = uint32_t(whole(bits, 1, 3));
  }
  if (architecture == "gemma-embedding" && whole(bits, 0, 1) != 0) spec.dense_inner = uint32_t(whole(bits, 1, 150));
  return spec;
}

inline Ids random_ids(Generator& bits, int32_t count, const ModelSpec& spec) {
  Ids ids;
  for (int32_t i = 0; i < count; i++) ids.push_back(whole(bits, 0, int32_t(spec.vocabulary) - 1));
  return ids;
}

// Kernels of this machine and a precision of theirs. `tolerance` of 1 - cosine against the double-precision reference:
// random models as narrow as 24 columns magnify the rounding of bytes a good deal.
struct Target {
  const kernels::Kernels* table;
  const char* precision;
  double tolerance;
  std::string name() const { return std::string(table->name) + " " + precision; }
};
inline std::vector<Target> targets() {
  std::vector<Target> found;
  for (kernels::Isa isa : {kernels::Isa::scalar, kernels::Isa::neon, kernels::Isa::neon_dotprod, kernels::Isa::avx2,
                           kernels::Isa::avx512, kernels::Isa::avx512_vnni, kernels::Isa::avx512_bf16,
                           kernels::Isa::amx_bf16}) {
    const kernels::Kernels* table = kernels::find(isa);
    if (table == nullptr) continue;
    if (table->layout == kernels::Layout::bf16_tiles) found.push_back({table, "bf16", 5e-3});
    else if (!kernels::is_for_bytes(isa)) found.push_back({table, "f32", 1e-9});
    if (table->pack_int8 != nullptr) found.push_back({table, "int8", 0.15});
  }
  return found;
}

inline fused::Model load(const gguf::Reader& file, const Target& target, bool mmap = false) {
  setenv("INLAY_ISA", target.table->name, 1);
  LoadOptions options;
  options.precision = target.precision;
  options.mmap = mmap;
  fused::Model model = fused::load_model(file, options);
  unsetenv("INLAY_ISA");
  return model;
}

}  // namespace inlay::test
