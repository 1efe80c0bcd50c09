#include <cstring>

#include "gguf/hparams.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

constexpr const char* layer_norm = "attention.layer_norm_epsilon";
constexpr const char* rms_norm = "attention.layer_norm_rms_epsilon";

// Those below the line have tensor sets that only llama.cpp knows. The list is short on purpose: each is one that
// embedding models are published in.
const Architecture architectures[] = {
    // name             schema encoder rotary types  epsilon
    {"bert",            true,  true,  false, true,  layer_norm},
    {"nomic-bert",      true,  true,  true,  true,  layer_norm},
    {"nomic-bert-moe",  true,  true,  true,  true,  layer_norm},
    {"jina-bert-v2",    true,  true,  false, true,  layer_norm},
    {"modern-bert",     true,  true,  true,  false, layer_norm},
    {"gemma-embedding", true,  true,  true,  false, rms_norm},
    {"eurobert",        true,  true,  true,  false, rms_norm},
    {"qwen3",           true,  false, true,  false, rms_norm},

    {"jina-bert-v3",    false, true,  true,  true,  layer_norm},
    {"neo-bert",        false, true,  true,  false, rms_norm},
    {"t5encoder",       false, true,  false, false, rms_norm},
    {"llama-embed",     false, true,  true,  false, rms_norm},
    {"llama",           false, false, true,  false, rms_norm},
    {"mistral3",        false, false, true,  false, rms_norm},
    {"qwen2",           false, false, true,  false, rms_norm},
    {"qwen2vl",         false, false, true,  false, rms_norm},
    {"qwen3vl",         false, false, true,  false, rms_norm},
    {"gemma",           false, false, true,  false, rms_norm},
    {"gemma2",          false, false, true,  false, rms_norm},
    {"gemma3",          false, false, true,  false, rms_norm},
    {"lfm2",            false, false, true,  false, rms_norm},
    {"granite",         false, false, true,  false, rms_norm},
    {"internlm2",       false, false, true,  false, rms_norm},
    {"olmo2",           false, false, true,  false, rms_norm},
    {"smollm3",         false, false, true,  false, rms_norm},
    {"starcoder2",      false, false, true,  false, layer_norm},
};

constexpr uint64_t pooling_none = 0;
constexpr uint64_t pooling_rank = 4;

void check_split(const Reader& file) {
  const Value* count = file.find("split.count");
  if (count == nullptr) return;
  const auto parts = file.integer("split.count");
  if (!parts || *parts > 1) {
    throw unsupported("GGUF_SPLIT", "the file is one part of a split model" +
                                        (parts ? " of " + std::to_string(*parts) + " parts" : std::string()) +
                                        "; merge the parts with `llama-gguf-split --merge` first");
  }
}

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& architecture : architectures) {
    if (name == architecture.name) return &architecture;
  }
  return nullptr;
}

void check_kind(const Reader& file, const ValidateOptions& options) {
  const std::string& name = file.architecture();
  if (name.empty()) throw broken("GGUF_ARCHITECTURE", "the file does not name an architecture (general.architecture)");

  const std::string_view type = file.string("general.type").value_or("model");
  if (type == "adapter" || file.find("adapter.type") != nullptr) {
    throw unsupported("GGUF_ADAPTER", "the file is an adapter (LoRA), not a model; merge it into its base model first");
  }
  if (type == "mmproj" || name == "clip") {
    throw unsupported("GGUF_PROJECTOR", "the file is the image or audio projector of a multimodal model, not a text "
                                        "embedding model");
  }
  if (type != "model") {
    throw unsupported("GGUF_KIND", "the file says it is a " + printable(type) + " (general.type), not a model");
  }
  check_split(file);
  if (file.tensors().empty()) {
    throw unsupported("GGUF_VOCAB_ONLY", "the file holds a vocabulary and no weights");
  }

  const Architecture* architecture = find_architecture(name);
  if (architecture == nullptr) {
    throw unsupported("GGUF_ARCHITECTURE", "architecture " + printable(name) + " is not one of the embedding "
                                           "architectures that inlay serves");
  }
  const auto pooling = file.integer(file.hparam_key("pooling_type"));
  if (pooling == pooling_rank || file.tensor("cls.output.weight") != nullptr ||
      file.find(file.hparam_key("classifier.output_labels")) != nullptr) {
    throw unsupported("GGUF_RERANKER", "the file is a reranker or classifier: it scores texts and has no embeddings");
  }
  if (options.pooling_given) return;
  if (pooling == pooling_none) {
    throw unsupported("GGUF_POOLING_NONE", "the model gives one vector per token (pooling_type 0); choose mean, cls or "
                                           "last pooling to use it for texts");
  }
  if (!pooling && file.find(file.hparam_key("pooling_type")) == nullptr && !architecture->encoder) {
    throw unsupported("GGUF_GENERATIVE", "the file is a text-generating " + name + " model: it names no pooling "
                                         "(" + file.hparam_key("pooling_type") + "); choose one to embed with it anyway");
  }
}

}  // namespace inlay::gguf
