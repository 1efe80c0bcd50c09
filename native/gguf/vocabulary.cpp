#include <algorithm>
#include <cmath>
#include <cstring>

#include "gguf/charsmap.h"
#include "gguf/hparams.h"
#include "gguf/rules.h"
#include "gguf/token_index.h"

namespace inlay::gguf {

namespace {

constexpr uint64_t max_tokens = 1 << 20;
constexpr size_t max_token_bytes = 1024;  // llama.cpp's WordPiece search is quadratic in the longest token

// Names of pre-tokenizers (tokenizer.ggml.pre of byte-level BPE) that llama.cpp splits by hand-written code or by
// patterns that recurse for single characters only. The others go through std::regex, whose recursion overflows the
// stack on long runs of one kind of character.
constexpr std::string_view bounded_pre[] = {
    "default", "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v1-en", "jina-v2-es", "jina-v2-de",
    "jina-v2-code", "a.x-4.0", "mellum", "modern-bert", "roberta-bpe", "exaone4", "mpt", "olmo", "jais", "trillion",
    "granite-docling", "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
    "jina-v5-nano", "dbrx", "smaug-bpe", "glm4", "chatglm-bpe", "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2",
    "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2", "qwen35", "gemma4", "granite-embed-multi-311m",
    "falcon", "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2",
};

// Those whose texts start with BOS unless the file says otherwise.
constexpr std::string_view bos_pre[] = {"llama3",    "llama-v3", "llama-bpe", "falcon3",     "falcon-h1",
                                        "pixtral",   "midm-2.0", "lfm2",      "jina-v5-nano"};

// The rest of those llama.cpp knows.
constexpr std::string_view unbounded_pre[] = {
    "minicpm5", "deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5", "youtu", "jais-2", "sarvam-moe",
    "whitespace", "poro-chat", "viking", "tekken", "bloom", "gpt3-finnish", "exaone-moe", "chameleon", "gpt-4o",
    "llama4", "kanana2", "talkie", "granite-embed-multi-97m", "tiny_aya", "cohere2moe", "superbpe", "bailingmoe",
    "bailingmoe2", "llada-moe", "seed-coder", "hunyuan-dense", "hy_v4", "joyai-llm", "ufakzeka", "afmoe", "laguna",
    "minimax-m2",
};

template <size_t n>
bool contains(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

enum class Model { word_piece, sentence_piece, unigram, byte_bpe };

class VocabularyChecker {
 public:
  VocabularyChecker(const Reader& file, ValidationReport& report)
      : file(file), report(report), tokens(file.strings("tokenizer.ggml.tokens")), model(tokenizer_model()) {}

  uint64_t run() {
    check_pre();
    check_tokens();
    const TokenIndex index(tokens);
    if (index.first_repeated() >= 0) {
      const size_t id = static_cast<size_t>(index.first_repeated());
      throw broken("GGUF_TOKENIZER_DUPLICATE", "token " + std::to_string(id) + ", " + printable(tokens[id]) +
                                                   ", is also token " + std::to_string(index.find(tokens[id])));
    }
    check_token_types();
    check_scores();
    check_ids();
    if (model == Model::sentence_piece) check_byte_tokens(index);
    if (model == Model::byte_bpe) check_merges(index);
    if (model == Model::unigram) check_charsmap();
    return tokens.size();
  }

 private:
  Model tokenizer_model() {
    const auto name = file.string("tokenizer.ggml.model");
    if (!name) throw broken("GGUF_TOKENIZER_MODEL", "key tokenizer.ggml.model is missing or not a string");
    if (*name == "bert") return Model::word_piece;
    if (*name == "llama") return Model::sentence_piece;
    if (*name == "t5") return Model::unigram;
    if (*name == "gpt2" || *name == "gemma4") return Model::byte_bpe;
    throw unsupported("GGUF_TOKENIZER_MODEL", "the tokenizer is of kind " + printable(*name) +
                                                  "; inlay has bert, llama, t5, gpt2 and gemma4");
  }

  void check_pre() {
    const Value* value = file.find("tokenizer.ggml.pre");
    if (value != nullptr && value->type != ValueType::string) {
      throw broken("GGUF_TOKENIZER_PRE", "tokenizer.ggml.pre must be a string");
    }
    if (model != Model::byte_bpe) return;
    const std::string_view pre = value == nullptr ? "default" : value->text;
    report.bounded_splitter = contains(bounded_pre, pre) || pre.empty();
    if (!report.bounded_splitter && !contains(unbounded_pre, pre)) {
      throw unsupported("GGUF_TOKENIZER_PRE", "the pre-tokenizer " + printable(pre) + " (tokenizer.ggml.pre) is unknown");
    }
  }

  void check_tokens() {
    if (tokens.size() < 2 || tokens.size() > max_tokens) {
      throw broken("GGUF_TOKENIZER_TOKENS", "tokenizer.ggml.tokens must be an array of 2 to " +
                                                std::to_string(max_tokens) + " strings, found " +
                                                std::to_string(tokens.size()));
    }
    for (size_t i = 0; i < tokens.size(); i++) {
      const char* fault = tokens[i].empty()                    ? "is empty"
                          : tokens[i].size() > max_token_bytes ? "is longer than 1024 bytes"
                          : !is_utf8(tokens[i])                ? "is not well-formed UTF-8"
                                                               : nullptr;
      if (fault != nullptr) {
        throw broken("GGUF_TOKENIZER_TOKENS", "token " + std::to_string(i) + " " + fault + ": " +
                                                  printable(tokens[i], 40));
      }
    }
  }

  const Value* array_for_tokens(const char* key, ValueType element, const char* rule) {
    const Value* value = file.find(key);
    if (value == nullptr) return nullptr;
    if (value->type != ValueType::array || value->element != element || value->count != tokens.size()) {
      throw broken(rule, std::string(key) + " must be an array of " +
                             (element == ValueType::i32 ? "int32" : "float32") + " with one element for each of the " +
                             std::to_string(tokens.size()) + " tokens" +
                             (value->type == ValueType::array ? ", found " + std::to_string(value->count) : ""));
    }
    return value;
  }

  void check_token_types() {
    const Value* types = array_for_tokens("tokenizer.ggml.token_type", ValueType::i32, "GGUF_TOKENIZER_TYPES");
    if (types == nullptr) return;
    for (size_t i = 0; i < tokens.size(); i++) {
      uint32_t type;
      std::memcpy(&type, types->elements + i * sizeof type, sizeof type);
      if (type > 6) {
        throw broken("GGUF_TOKENIZER_TYPES", "token " + std::to_string(i) + " is of type " + std::to_string(type) +
                                                 "; expected 0 to 6");
      }
    }
  }

  void check_scores() {
    const Value* scores = array_for_tokens("tokenizer.ggml.scores", ValueType::f32, "GGUF_TOKENIZER_SCORES");
    if (scores == nullptr) {
      if (model == Model::sentence_piece || model == Model::unigram) {
        throw broken("GGUF_TOKENIZER_SCORES", "key tokenizer.ggml.scores is missing; this kind of tokenizer needs it");
      }
      return;
    }
    for (size_t i = 0; i < tokens.size(); i++) {
      float score;
      std::memcpy(&score, scores->elements + i * sizeof score, sizeof score);
      if (!std::isfinite(score)) {
        throw broken("GGUF_TOKENIZER_SCORES", "the score of token " + std::to_string(i) + " is not finite");
      }
    }
  }

  // The id under this key, checked; nullopt where absent.
  std::optional<uint64_t> id(const std::string& name) {
    const std::string key = "tokenizer.ggml." + name + "_token_id";
    const Value* value = file.find(key);
    if (value == nullptr) return std::nullopt;
    if (value->type != ValueType::u32 || value->bits >= tokens.size()) {
      throw broken("GGUF_TOKENIZER_IDS", key + " must be a uint32 below the number of tokens, " +
                                             std::to_string(tokens.size()) +
                                             (value->type == ValueType::u32 ? ", found " + std::to_string(value->bits)
                                                                            : std::string()));
    }
    return value->bits;
  }

  bool flag(const char* name, bool otherwise) {
    const std::string key = std::string("tokenizer.ggml.") + name;
    const Value* value = file.find(key);
    if (value == nullptr) return otherwise;
    if (value->type != ValueType::boolean) throw broken("GGUF_TOKENIZER_IDS", key + " must be a bool");
    return value->bits != 0;
  }

  void need(bool there, const char* name) {
    if (!there) {
      throw broken("GGUF_TOKENIZER_IDS", std::string("key tokenizer.ggml.") + name + "_token_id is missing, and the "
                                         "tokenizer puts that token around every text");
    }
  }

  // Where a key is absent, llama.cpp takes a fixed id; it must be that token.
  void need_default(bool there, const char* name, size_t fixed, std::initializer_list<std::string_view> texts) {
    if (there) return;
    if (fixed < tokens.size() && std::find(texts.begin(), texts.end(), tokens[fixed]) != texts.end()) return;
    throw broken("GGUF_TOKENIZER_IDS", std::string("key tokenizer.ggml.") + name + "_token_id is missing, and token " +
                                           std::to_string(fixed) + " is not " + std::string(*texts.begin()));
  }

  void check_ids() {
    const bool bos = id("bos").has_value(), eos = id("eos").has_value(), unk = id("unknown").has_value();
    const bool sep = id("seperator").has_value(), cls = id("cls").has_value();  // the format's spelling
    id("padding");
    id("mask");
    for (const char* name : {"add_space_prefix", "remove_extra_whitespaces", "normalizer.lowercase",
                             "normalizer.strip_accents"}) {
      flag(name, false);
    }
    const bool bos_by_default =
        model == Model::byte_bpe && contains(bos_pre, file.string("tokenizer.ggml.pre").value_or(""));
    const bool add_bos = flag("add_bos_token", bos_by_default), add_eos = flag("add_eos_token", false);
    const bool add_sep = flag("add_sep_token", false);
    switch (model) {
      case Model::word_piece:
        need_default(bos, "bos", 101, {"[CLS]", "<s>"});
        need_default(cls || bos, "cls", 101, {"[CLS]", "<s>"});
        need_default(sep, "seperator", 102, {"[SEP]", "</s>"});
        need_default(unk, "unknown", 100, {"[UNK]", "<unk>"});
        break;
      case Model::sentence_piece:
        need_default(bos, "bos", 1, {"<s>", "<bos>"});
        need_default(eos || !add_eos, "eos", 2, {"</s>", "<eos>"});
        need_default(unk, "unknown", 0, {"<unk>"});
        break;
      case Model::unigram:
        need_default(eos, "eos", 1, {"</s>"});
        need_default(unk, "unknown", 2, {"<unk>"});
        need(bos || !add_bos, "bos");
        break;
      case Model::byte_bpe:
        need(bos || !add_bos, "bos");
        need(eos || !add_eos, "eos");
        need(sep || !add_sep, "seperator");
        break;
    }
  }

  // llama.cpp throws where it meets a byte that no token stands for.
  void check_byte_tokens(const TokenIndex& index) {
    static const char hex[] = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; byte++) {
      const char text[] = {'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'};
      if (index.find({text, sizeof text}) < 0) {
        throw broken("GGUF_TOKENIZER_BYTES", "the vocabulary has no token " + std::string(text, sizeof text) +
                                                 " for that byte");
      }
    }
  }

  void check_merges(const TokenIndex& index) {
    const Value* value = file.find("tokenizer.ggml.merges");
    if (value == nullptr || value->type != ValueType::array || value->element != ValueType::string) {
      throw broken("GGUF_TOKENIZER_MERGES", "key tokenizer.ggml.merges must be an array of strings");
    }
    // Products of merges usually follow one another in the vocabulary. The halves need no check: a half that is
    // neither a byte nor a product never comes up.
    std::string product;
    size_t next = 0;
    for (size_t i = 0; i < value->strings.size(); i++) {
      const std::string_view merge = value->strings[i];
      const size_t space = merge.size() < 3 || merge.size() > 2 * max_token_bytes ? merge.npos : merge.find(' ', 1);
      if (space == merge.npos || space + 1 == merge.size()) {
        throw broken("GGUF_TOKENIZER_MERGES", "merge " + std::to_string(i) + ", " + printable(merge, 40) +
                                                  ", is not two tokens with a space between");
      }
      product.assign(merge.substr(0, space)).append(merge.substr(space + 1));
      const int64_t id = next < tokens.size() && tokens[next] == product ? static_cast<int64_t>(next)
                                                                         : index.find(product);
      if (id < 0) {
        throw broken("GGUF_TOKENIZER_MERGES", "merge " + std::to_string(i) + ", " + printable(merge, 40) +
                                                  ", makes no token");
      }
      next = static_cast<size_t>(id) + 1;
    }
  }

  void check_charsmap() {
    const Value* map = file.find("tokenizer.ggml.precompiled_charsmap");
    if (map == nullptr) return;
    const bool is_bytes =
        map->type == ValueType::array && (map->element == ValueType::u8 || map->element == ValueType::i8);
    const char* fault = is_bytes ? charsmap_fault(map->elements, map->count) : "it is not an array of bytes";
    if (fault != nullptr) {
      throw broken("GGUF_TOKENIZER_CHARSMAP", std::string("tokenizer.ggml.precompiled_charsmap is broken: ") + fault);
    }
  }

  const Reader& file;
  ValidationReport& report;
  const std::vector<std::string_view>& tokens;
  const Model model;
};

}  // namespace

uint64_t check_vocabulary(const Reader& file, ValidationReport& report) { return VocabularyChecker(file, report).run(); }

}  // namespace inlay::gguf
