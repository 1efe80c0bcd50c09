#include "gguf_corpus.h"

#include <functional>
#include <limits>

#include "gguf_models.h"

namespace inlay::gguf::test {

namespace {

const std::vector<std::string> all = {"bert", "nomic-bert", "gemma-embedding", "qwen3"};
const std::vector<std::string> word_piece = {"bert", "nomic-bert"};
const std::vector<std::string> encoders = {"bert", "nomic-bert", "gemma-embedding"};
const std::vector<std::string> bert = {"bert"};
const std::vector<std::string> unigram = {"xlm-r"};
const std::vector<std::string> gemma = {"gemma-embedding"};
const std::vector<std::string> qwen3 = {"qwen3"};

constexpr uint64_t pow2(int exponent) { return uint64_t{1} << exponent; }

// A file being edited, with its architecture's prefix at hand.
struct Subject : FileWriter {
  Subject(FileWriter file, std::string architecture) : FileWriter(std::move(file)), architecture(std::move(architecture)) {}

  std::string architecture;

  std::string key(const char* suffix) const { return architecture + "." + suffix; }

  std::string epsilon() const {
    const std::string rms = key("attention.layer_norm_rms_epsilon");
    return has(rms) ? rms : key("attention.layer_norm_epsilon");
  }

  // A norm and a matrix that every architecture here has.
  TensorInfo& some_norm() { return tensor(architecture == "bert" || architecture == "nomic-bert" ? "token_embd_norm.weight"
                                                                                                  : "output_norm.weight"); }
  TensorInfo& some_matrix() { return tensor("blk.0.ffn_down.weight"); }

  void extra(const std::string& name, std::vector<uint64_t> shape, uint32_t type = 0, std::string data = {}) {
    tensors.push_back({name, std::move(shape), type, std::move(data), {}});
  }

  std::vector<std::string> tokens() const {
    for (const Key& one : keys) {
      if (one.name != "tokenizer.ggml.tokens") continue;
      std::vector<std::string> list;
      size_t at = 12;
      while (at < one.value.size()) {
        uint64_t length;
        std::memcpy(&length, one.value.data() + at, sizeof length);
        list.push_back(one.value.substr(at + 8, length));
        at += 8 + length;
      }
      return list;
    }
    return {};
  }

  void set_token(size_t id, const std::string& text) {
    auto list = tokens();
    list.at(id) = text;
    strings("tokenizer.ggml.tokens", list);
  }
};

std::string numbers(size_t count, float value) {
  std::string data;
  for (size_t i = 0; i < count; i++) data += raw(value);
  return data;
}

// A type other than the data's: the tensors after it no longer stand where the file says.
void lie(Subject& subject, TensorType type) {
  uint64_t offset = 0;
  for (auto& tensor : subject.tensors) {
    tensor.offset = offset;
    offset += (tensor.data.size() + 31) / 32 * 32;
  }
  subject.some_matrix().type = static_cast<uint32_t>(type);
}

// Stores a matrix as Q8_0 whose scales are all this f16.
void scaled(Subject& subject, uint16_t scale) {
  auto& tensor = subject.some_matrix();
  tensor.type = static_cast<uint32_t>(TensorType::q8_0);
  tensor.data.clear();
  for (int block = 0; block < 64; block++) {
    tensor.data += raw(scale);
    for (int i = 0; i < 32; i++) tensor.data += static_cast<char>(i * 7 + block);
  }
}

class Corpus {
 public:
  std::vector<CorpusFile> files;

  void edited(int row, const char* what, const std::vector<std::string>& models, const std::string& rule,
              const std::function<void(Subject&)>& edit) {
    for (const std::string& model : models) {
      Subject subject(tiny_model(model), model == "xlm-r" ? "bert" : model);
      edit(subject);
      add(row, what, model, subject.bytes(), rule);
    }
  }

  void cut(int row, const char* what, const std::string& rule,
           const std::function<std::string(const std::string&)>& edit) {
    for (const std::string& model : all) add(row, what, model, edit(tiny_model(model).bytes()), rule);
  }

  // A file that is no GGUF file at all.
  void other(int row, const char* what, const std::string& rule, std::string bytes) {
    add(row, what, "other", std::move(bytes), rule);
  }

 private:
  void add(int row, const std::string& what, const std::string& model, std::string bytes, const std::string& rule) {
    std::string number = std::to_string(row);
    number.insert(0, 3 - number.size(), '0');
    files.push_back({number + "-" + what + "." + model + ".gguf", std::move(bytes), rule});
  }
};

void add_header_faults(Corpus& c) {
  c.other(1, "empty", "GGUF_TRUNCATED", "");
  c.other(2, "three-bytes", "GGUF_TRUNCATED", "GGU");
  c.cut(3, "magic-fugg", "GGUF_MAGIC", [](std::string b) { return "FUGG" + b.substr(4); });
  for (const char* magic : {"lmgg", "fmgg", "tjgg", "algg"}) {
    c.other(4, magic, "GGUF_MAGIC", magic + std::string(60, '\1'));
  }
  for (uint32_t version : {0u, 1u, 4u, 0xFFFFFFFFu}) {
    c.edited(version > 4 ? 6 : 5, ("version-" + std::to_string(version)).c_str(), all, "GGUF_VERSION",
             [=](Subject& s) { s.version = version; });
  }
  c.edited(6, "version-swapped", all, "GGUF_BYTE_ORDER", [](Subject& s) { s.version = 0x03000000; });
  c.edited(7, "tensors-minus-1", all, "GGUF_COUNT", [](Subject& s) { s.tensor_count = ~uint64_t{0}; });
  c.edited(8, "keys-minus-1", all, "GGUF_COUNT", [](Subject& s) { s.key_count = ~uint64_t{0}; });
  c.edited(9, "tensors-2-40", all, "GGUF_COUNT", [](Subject& s) { s.tensor_count = pow2(40); });
  c.edited(10, "keys-2-40", all, "GGUF_COUNT", [](Subject& s) { s.key_count = pow2(40); });
  c.edited(11, "tensors-one-more", all, "GGUF_TENSOR_NAME", [](Subject& s) { s.tensor_count = s.tensors.size() + 1; });
  c.edited(13, "keys-one-fewer", all, "GGUF_TENSOR_DIMS", [](Subject& s) { s.key_count = s.keys.size() - 1; });
  c.edited(14, "nothing", bert, "GGUF_ARCHITECTURE", [](Subject& s) {
    s.keys.clear();
    s.tensors.clear();
  });
  for (size_t length : {5, 8, 12, 20, 24, 30, 100, 700, 2000}) {
    c.cut(15, ("cut-at-" + std::to_string(length)).c_str(), "GGUF_TRUNCATED",
          [=](std::string b) { return b.substr(0, length); });
  }
  c.cut(24, "last-byte-missing", "GGUF_TRUNCATED", [](std::string b) { return b.substr(0, b.size() - 1); });
  c.cut(25, "half-the-data", "GGUF_TRUNCATED", [](std::string b) { return b.substr(0, b.size() * 3 / 4); });
  c.cut(27, "trailing-garbage", "", [](std::string b) { return b + std::string(4096, 'x'); });
}

void add_key_faults(Corpus& c) {
  // Replaces the length of the first key, which stands behind the header of 24 bytes.
  const auto first_length = [](uint64_t length) {
    return [=](std::string b) { return b.substr(0, 24) + raw(length) + b.substr(32); };
  };
  c.cut(28, "key-length-2-63", "GGUF_KV_KEY", first_length(pow2(63)));
  c.cut(29, "key-length-1-gib", "GGUF_KV_KEY", first_length(pow2(30) - 1));
  c.edited(30, "empty-key", all, "GGUF_KV_KEY", [](Subject& s) { s.u32("", 1); });
  c.edited(31, "duplicate-key", all, "GGUF_KV_DUPLICATE", [](Subject& s) { s.keys.push_back(s.keys[3]); });
  c.edited(32, "value-type-13", all, "GGUF_KV_TYPE", [](Subject& s) { s.set("x", static_cast<ValueType>(13), "...."); });
  const auto array = [](uint32_t element, uint64_t count, const std::string& values = {}) {
    return [=](Subject& s) { s.set("x", ValueType::array, raw(element) + raw(count) + values); };
  };
  c.edited(33, "array-of-arrays", all, "GGUF_KV_ARRAY", array(9, 1, raw<uint32_t>(4) + raw<uint64_t>(0)));
  c.edited(34, "array-2-60", all, "GGUF_KV_ARRAY", array(4, pow2(60)));
  c.edited(34, "array-4-million", all, "GGUF_TRUNCATED", array(4, 4000000));
  c.edited(35, "strings-2-29", all, "GGUF_KV_ARRAY", array(8, pow2(29)));
  c.edited(36, "string-2-62", all, "GGUF_KV_STRING", [](Subject& s) { s.set("x", ValueType::string, raw(pow2(62))); });
  c.edited(36, "string-past-the-end", all, "GGUF_TRUNCATED",
           [](Subject& s) { s.set("x", ValueType::string, raw(pow2(23))); });
  for (uint32_t alignment : {0u, 1u, 3u, 4u, 8192u, 0x80000000u}) {
    c.edited(alignment == 1 ? 39 : alignment > 3 ? 38 : 37, ("alignment-" + std::to_string(alignment)).c_str(), all,
             "GGUF_ALIGNMENT", [=](Subject& s) { s.u32("general.alignment", alignment); });
  }
  c.edited(37, "alignment-string", all, "GGUF_ALIGNMENT", [](Subject& s) { s.text("general.alignment", "32"); });
  c.edited(37, "alignment-64", all, "", [](Subject& s) {
    s.u32("general.alignment", 64);
    s.alignment = 64;
  });
  c.edited(40, "bool-7", all, "GGUF_KV_BOOL", [](Subject& s) { s.set("x", ValueType::boolean, "\7"); });
  c.edited(41, "key-not-utf8", all, "GGUF_KV_KEY", [](Subject& s) { s.u32("\xFF\xFE", 1); });
  c.edited(41, "key-with-nul", all, "GGUF_KV_KEY", [](Subject& s) { s.u32(std::string("a\0b", 3), 1); });
  c.edited(42, "junk-keys-20000", bert, "GGUF_COUNT", [](Subject& s) {
    for (int i = 0; i < 20000; i++) s.keys.push_back({"junk." + std::to_string(i), 4, raw(i)});
  });
  c.edited(116, "name-1-mib", all, "", [](Subject& s) { s.text("general.name", std::string(1 << 20, 'n')); });
  c.edited(116, "name-with-escapes", all, "", [](Subject& s) { s.text("general.name", "a\x1B[31m\nb\xFF"); });
  c.edited(127, "unknown-keys", all, "", [](Subject& s) {
    s.text("vendor.note", "kept");
    s.array<float>("vendor.numbers", ValueType::f32, {1, 2});
  });
}

void add_hparam_faults(Corpus& c) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto number = [&c](int row, const std::string& what, const char* key, std::initializer_list<uint32_t> values,
                           const char* rule, const std::vector<std::string>& models = all) {
    for (uint32_t value : values) {
      c.edited(row, (what + "-" + std::to_string(value)).c_str(), models, rule,
               [=](Subject& s) { s.u32(s.key(key), value); });
    }
  };
  for (float epsilon : {nan, -1.0f, 0.0f, 1.0f}) {
    const std::string what = epsilon != epsilon ? "eps-nan" : "eps" + std::to_string(static_cast<int>(epsilon));
    c.edited(43, what.c_str(), all, "GGUF_HPARAM_EPS", [=](Subject& s) { s.f32(s.epsilon(), epsilon); });
  }
  number(44, "layers", "block_count", {0, 129, 513, 0x80000000u}, "GGUF_HPARAM_LAYERS");
  c.edited(44, "layers-string", all, "GGUF_HPARAM_TYPE", [](Subject& s) { s.text(s.key("block_count"), "2"); });
  c.edited(44, "layers-int32-minus-1", all, "GGUF_HPARAM_TYPE",
           [](Subject& s) { s.set(s.key("block_count"), ValueType::i32, raw(-1)); });
  number(44, "layers", "block_count", {1}, "GGUF_SCHEMA_UNEXPECTED", {"bert", "nomic-bert", "qwen3"});
  number(44, "layers", "block_count", {3}, "GGUF_SCHEMA_MISSING");
  number(45, "context", "context_length", {0, 0x80000000u}, "GGUF_HPARAM_CONTEXT");
  number(45, "context", "context_length", {1000000, 63, 65}, "GGUF_SCHEMA_SHAPE", bert);
  number(46, "ffn", "feed_forward_length", {0, 0xFFFFFFFFu}, "GGUF_HPARAM_FFN");
  number(47, "pooling", "pooling_type", {5, 99, 0xFFFFFFFFu}, "GGUF_HPARAM_POOLING");
  number(48, "pooling-none", "pooling_type", {0}, "GGUF_POOLING_NONE");
  number(48, "pooling-rank", "pooling_type", {4}, "GGUF_RERANKER");
  c.edited(49, "causal", encoders, "GGUF_HPARAM_CAUSAL", [](Subject& s) { s.boolean(s.key("attention.causal"), true); });
  for (const char* name : {"unknown", "%s%n", "rwkv7", "mamba"}) {
    c.edited(50, (std::string("arch-") + (name[0] == '%' ? "format" : name)).c_str(), all, "GGUF_ARCHITECTURE",
             [=](Subject& s) { s.text("general.architecture", name); });
  }
  c.edited(50, "arch-number", all, "GGUF_ARCHITECTURE", [](Subject& s) { s.u32("general.architecture", 1); });
  c.edited(50, "arch-control", all, "GGUF_ARCHITECTURE", [](Subject& s) { s.text("general.architecture", "bert\n"); });
  c.edited(51, "arch-llama", all, "GGUF_GENERATIVE", [](Subject& s) { s.text("general.architecture", "llama"); });
  number(52, "experts", "expert_count", {8, 5000}, "GGUF_HPARAM_EXPERTS");
  number(52, "experts-used", "expert_used_count", {2}, "GGUF_HPARAM_EXPERTS");
  number(52, "expert-groups", "expert_group_count", {2}, "GGUF_HPARAM_EXPERTS");
  c.edited(52, "experts-none-used", {"nomic-bert-moe"}, "GGUF_HPARAM_EXPERTS",
           [](Subject& s) { s.u32(s.key("expert_used_count"), 0); });
  c.edited(52, "experts-more-used", {"nomic-bert-moe"}, "GGUF_HPARAM_EXPERTS",
           [](Subject& s) { s.u32(s.key("expert_used_count"), 3); });
  c.edited(52, "experts-zero", {"nomic-bert-moe"}, "GGUF_HPARAM_EXPERTS",
           [](Subject& s) { s.u32(s.key("expert_count"), 0); });
  c.edited(53, "rope-scaling", all, "GGUF_HPARAM_ROPE", [](Subject& s) { s.text(s.key("rope.scaling.type"), "bogus"); });
  c.edited(53, "rope-base-nan", all, "GGUF_HPARAM_ROPE", [=](Subject& s) { s.f32(s.key("rope.freq_base"), nan); });
  c.edited(53, "rope-base-0", all, "GGUF_HPARAM_ROPE", [](Subject& s) { s.f32(s.key("rope.freq_base"), 0); });
  c.edited(53, "rope-factor-minus-1", all, "GGUF_HPARAM_ROPE",
           [](Subject& s) { s.f32(s.key("rope.scaling.factor"), -1); });
  number(53, "rope-dimensions", "rope.dimension_count", {7, 0x80000000u}, "GGUF_HPARAM_ROPE",
         {"nomic-bert", "gemma-embedding", "qwen3"});
  number(54, "kv-heads", "attention.head_count_kv", {0, 3, 0xFFFFFFFFu}, "GGUF_HPARAM_HEADS");
  number(55, "vocab-size", "vocab_size", {7}, "");
  number(56, "key-length", "attention.key_length", {0, 1, 0xFFFFFFFFu}, "GGUF_HPARAM_HEAD_SIZE");
  number(57, "value-length", "attention.value_length", {7}, "GGUF_HPARAM_HEAD_SIZE");
  number(59, "nextn", "nextn_predict_layers", {5}, "GGUF_HPARAM_NEXTN");
  number(60, "output-width", "embedding_length_out", {9999, 1}, "GGUF_HPARAM_OUTPUT");
  c.edited(61, "heads-empty-array", all, "GGUF_HPARAM_HEADS",
           [](Subject& s) { s.array<uint32_t>(s.key("attention.head_count"), ValueType::u32, {}); });
  const std::pair<const char*, const char*> needed[] = {
      {"context_length", "GGUF_HPARAM_MISSING"},       {"embedding_length", "GGUF_HPARAM_MISSING"},
      {"block_count", "GGUF_HPARAM_MISSING"},          {"feed_forward_length", "GGUF_HPARAM_MISSING"},
      {"attention.head_count", "GGUF_HPARAM_MISSING"},
  };
  for (const auto& [key, rule] : needed) {
    c.edited(62, (std::string("no-") + key).c_str(), all, rule, [key = key](Subject& s) { s.remove(s.key(key)); });
  }
  c.edited(62, "no-epsilon", all, "GGUF_HPARAM_MISSING", [](Subject& s) { s.remove(s.epsilon()); });
  c.edited(62, "no-architecture", all, "GGUF_ARCHITECTURE", [](Subject& s) { s.remove("general.architecture"); });
  c.edited(62, "no-tokenizer-model", all, "GGUF_TOKENIZER_MODEL", [](Subject& s) { s.remove("tokenizer.ggml.model"); });
  c.edited(62, "no-tokens", all, "GGUF_TOKENIZER_TOKENS", [](Subject& s) { s.remove("tokenizer.ggml.tokens"); });
  c.edited(62, "no-pooling", encoders, "", [](Subject& s) { s.remove(s.key("pooling_type")); });
  c.edited(62, "no-pooling", qwen3, "GGUF_GENERATIVE", [](Subject& s) { s.remove(s.key("pooling_type")); });
  c.edited(62, "no-token-type-count", word_piece, "GGUF_HPARAM_MISSING",
           [](Subject& s) { s.remove("tokenizer.ggml.token_type_count"); });
  c.edited(86, "token-type-count-0", word_piece, "GGUF_HPARAM_TOKEN_TYPES",
           [](Subject& s) { s.u32("tokenizer.ggml.token_type_count", 0); });
  number(108, "width", "embedding_length", {0, 0x80000000u}, "GGUF_HPARAM_WIDTH");
  number(108, "width", "embedding_length", {31}, "GGUF_HPARAM_HEADS", word_piece);
  number(108, "width", "embedding_length", {34}, "GGUF_SCHEMA_SHAPE", bert);
  number(109, "heads", "attention.head_count", {0, 0x80000000u}, "GGUF_HPARAM_HEADS");
  number(109, "heads", "attention.head_count", {5}, "GGUF_HPARAM_HEADS", word_piece);
  number(109, "heads-odd-size", "attention.head_count", {32}, "GGUF_HPARAM_ROPE", {"nomic-bert"});
  number(109, "window", "attention.sliding_window", {0}, "GGUF_HPARAM_WINDOW", gemma);
  number(109, "window-pattern", "attention.sliding_window_pattern", {0, 1, 3}, "GGUF_HPARAM_WINDOW", gemma);
  number(109, "window-pattern", "attention.sliding_window_pattern", {1}, "GGUF_HPARAM_WINDOW", {"modern-bert"});
  number(109, "window-pattern", "attention.sliding_window_pattern", {2}, "", {"modern-bert"});
  number(109, "dense", "dense_2_feat_out", {47}, "GGUF_HPARAM_DENSE", gemma);
  number(109, "dense-width", "dense_3_feat_out", {33}, "GGUF_HPARAM_DENSE", gemma);
  c.edited(109, "activation", {"modern-bert"}, "GGUF_HPARAM_ACTIVATION",
           [](Subject& s) { s.text(s.key("hidden_activation"), "mish"); });
}

void add_vocabulary_faults(Corpus& c) {
  c.edited(72, "duplicate-token", all, "GGUF_TOKENIZER_DUPLICATE", [](Subject& s) { s.set_token(9, s.tokens()[10]); });
  c.edited(73, "empty-token", all, "GGUF_TOKENIZER_TOKENS", [](Subject& s) { s.set_token(9, ""); });
  c.edited(74, "token-not-utf8", all, "GGUF_TOKENIZER_TOKENS", [](Subject& s) { s.set_token(9, "\xC3\x28"); });
  c.edited(74, "token-surrogate", all, "GGUF_TOKENIZER_TOKENS", [](Subject& s) { s.set_token(9, "\xED\xA0\x80"); });
  c.edited(75, "token-3-mb", all, "GGUF_TOKENIZER_TOKENS", [](Subject& s) { s.set_token(9, std::string(3000000, 'z')); });
  c.edited(76, "tokens-short", all, "GGUF_TOKENIZER_TYPES", [](Subject& s) {
    auto tokens = s.tokens();
    tokens.pop_back();
    s.strings("tokenizer.ggml.tokens", tokens);
  });
  c.edited(76, "tokens-empty", all, "GGUF_TOKENIZER_TOKENS", [](Subject& s) { s.strings("tokenizer.ggml.tokens", {}); });
  c.edited(76, "tokens-are-numbers", all, "GGUF_TOKENIZER_TOKENS",
           [](Subject& s) { s.array<uint32_t>("tokenizer.ggml.tokens", ValueType::u32, {1, 2, 3}); });
  c.edited(77, "token-types-short", all, "GGUF_TOKENIZER_TYPES",
           [](Subject& s) { s.array<int32_t>("tokenizer.ggml.token_type", ValueType::i32, {1, 1}); });
  c.edited(77, "token-types-float", all, "GGUF_TOKENIZER_TYPES", [](Subject& s) {
    s.array("tokenizer.ggml.token_type", ValueType::f32, std::vector<float>(s.tokens().size(), 1));
  });
  c.edited(77, "token-type-99", all, "GGUF_TOKENIZER_TYPES", [](Subject& s) {
    s.array("tokenizer.ggml.token_type", ValueType::i32, std::vector<int32_t>(s.tokens().size(), 99));
  });
  for (const char* name : {"bos", "eos", "unknown"}) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    c.edited(78, (std::string(name) + "-out-of-range").c_str(), all, "GGUF_TOKENIZER_IDS",
             [=](Subject& s) { s.u32(key, 99999); });
    c.edited(78, (std::string(name) + "-int32-minus-1").c_str(), all, "GGUF_TOKENIZER_IDS",
             [=](Subject& s) { s.set(key, ValueType::i32, raw(-1)); });
  }
  c.edited(79, "sep-missing", word_piece, "GGUF_TOKENIZER_IDS",
           [](Subject& s) { s.remove("tokenizer.ggml.seperator_token_id"); });
  const auto no_ids = [](Subject& s) {
    for (const char* name : {"bos", "eos", "unknown", "cls", "seperator", "padding", "mask"}) {
      s.remove(std::string("tokenizer.ggml.") + name + "_token_id");
    }
  };
  c.edited(80, "no-special-ids", all, "GGUF_TOKENIZER_IDS", no_ids);
  c.edited(80, "bos-missing-cls-there", bert, "", [](Subject& s) { s.remove("tokenizer.ggml.bos_token_id"); });
  c.edited(81, "unk-missing", word_piece, "GGUF_TOKENIZER_IDS",
           [](Subject& s) { s.remove("tokenizer.ggml.unknown_token_id"); });
  for (const char* model : {"none", "no_vocab", "rwkv", "bogus"}) {
    c.edited(82, (std::string("tokenizer-") + model).c_str(), all, "GGUF_TOKENIZER_MODEL",
             [=](Subject& s) { s.text("tokenizer.ggml.model", model); });
  }
  const auto charsmap = [](const std::string& bytes) {
    return [=](Subject& s) {
      s.array("tokenizer.ggml.precompiled_charsmap", ValueType::u8, std::vector<char>(bytes.begin(), bytes.end()));
    };
  };
  c.edited(83, "charsmap-size-lies", unigram, "GGUF_TOKENIZER_CHARSMAP",
           charsmap(raw<uint32_t>(1 << 20) + std::string(64, '\0')));
  c.edited(83, "charsmap-size-wraps", unigram, "GGUF_TOKENIZER_CHARSMAP",
           charsmap(raw<uint32_t>(0xFFFFFFFC) + std::string(64, '\0')));
  c.edited(83, "charsmap-short", unigram, "GGUF_TOKENIZER_CHARSMAP", charsmap("\1\2"));
  c.edited(83, "charsmap-open-end", unigram, "GGUF_TOKENIZER_CHARSMAP",
           charsmap(raw<uint32_t>(4) + std::string(60, 'x')));
  std::string past_array = empty_charsmap(), past_replacements = empty_charsmap();
  past_array.replace(4, 4, raw<uint32_t>(512 << 10));
  // The root's child "a" ends an entry whose value lies at 256.
  past_replacements.replace(4 + (256 + 'a') * 4, 4, raw<uint32_t>('a' << 10 | 0x100 | 'a'));
  past_replacements.replace(4 + 256 * 4, 4, raw<uint32_t>(0x80000007));
  c.edited(83, "charsmap-points-past-array", unigram, "GGUF_TOKENIZER_CHARSMAP", charsmap(past_array));
  c.edited(83, "charsmap-points-past-replacements", unigram, "GGUF_TOKENIZER_CHARSMAP", charsmap(past_replacements));
  c.edited(83, "charsmap-empty", unigram, "", charsmap(empty_charsmap()));
  c.edited(83, "charsmap-strings", unigram, "GGUF_TOKENIZER_CHARSMAP",
           [](Subject& s) { s.strings("tokenizer.ggml.precompiled_charsmap", {"a long string", "b"}); });
  c.edited(84, "no-merges", qwen3, "GGUF_TOKENIZER_MERGES", [](Subject& s) { s.remove("tokenizer.ggml.merges"); });
  c.edited(84, "pre-unknown", qwen3, "GGUF_TOKENIZER_PRE", [](Subject& s) { s.text("tokenizer.ggml.pre", "bogus"); });
  c.edited(85, "no-byte-tokens", word_piece, "GGUF_TOKENIZER_SCORES",
           [](Subject& s) { s.text("tokenizer.ggml.model", "llama"); });
  c.edited(85, "one-byte-token-missing", gemma, "GGUF_TOKENIZER_BYTES",
           [](Subject& s) { s.set_token(4 + 0x41, "no byte"); });
  c.edited(87, "scores-short", gemma, "GGUF_TOKENIZER_SCORES",
           [](Subject& s) { s.array<float>("tokenizer.ggml.scores", ValueType::f32, {1, 2}); });
  c.edited(87, "scores-nan", unigram, "GGUF_TOKENIZER_SCORES", [](Subject& s) {
    s.array("tokenizer.ggml.scores", ValueType::f32,
            std::vector<float>(s.tokens().size(), std::numeric_limits<float>::quiet_NaN()));
  });
  c.edited(118, "merge-makes-no-token", qwen3, "GGUF_TOKENIZER_MERGES",
           [](Subject& s) { s.strings("tokenizer.ggml.merges", {"t h", "z zz"}); });
  for (const char* merge : {"", " ", "t", "t ", " t"}) {
    c.edited(118, ("merge-" + std::to_string(std::strlen(merge)) + (merge[0] == ' ' ? "b" : "a")).c_str(), qwen3,
             "GGUF_TOKENIZER_MERGES", [=](Subject& s) { s.strings("tokenizer.ggml.merges", {merge}); });
  }
}

void add_tensor_faults(Corpus& c) {
  c.edited(88, "dims-5", all, "GGUF_TENSOR_DIMS", [](Subject& s) { s.some_matrix().shape = {2, 2, 2, 2, 128}; });
  c.edited(88, "dims-0", all, "GGUF_TENSOR_DIMS", [](Subject& s) { s.some_matrix().shape = {}; });
  const std::pair<const char*, std::vector<uint64_t>> shapes[] = {
      {"ne-zero", {0, 32}},           {"ne-negative", {~uint64_t{0}, 32}}, {"ne-2-32-2-32", {pow2(32), pow2(32)}},
      {"ne-2-62-4", {pow2(62), 4}},   {"ne-2-32-less-1", {pow2(32) - 1, pow2(32) - 1}},
      {"ne-pad-wrap", {pow2(62) - 1}},
  };
  for (const auto& [what, shape] : shapes) {
    c.edited(89, what, all, "GGUF_TENSOR_DIMS", [shape = shape](Subject& s) { s.some_matrix().shape = shape; });
    c.edited(90, (std::string("extra-") + what).c_str(), all, "GGUF_TENSOR_DIMS",
             [shape = shape](Subject& s) { s.extra("extra.weight", shape); });
  }
  for (uint32_t type : {4u, 5u, 31u, 43u, 1000u, 0xFFFFFFFFu}) {
    c.edited(94, ("type-" + std::to_string(type)).c_str(), all, "GGUF_TENSOR_TYPE",
             [=](Subject& s) { s.some_matrix().type = type; });
  }
  c.edited(94, "type-f64", all, "GGUF_TENSOR_TYPE", [](Subject& s) { s.some_matrix().type = 28; });
  c.edited(95, "type-lies-q4-0", all, "GGUF_TENSOR_OFFSET", [](Subject& s) { lie(s, TensorType::q4_0); });
  c.edited(95, "type-lies-f16", all, "GGUF_TENSOR_OFFSET", [](Subject& s) { lie(s, TensorType::f16); });
  c.edited(95, "type-lies-q8-k-rows", all, "GGUF_TENSOR_DIMS", [](Subject& s) { lie(s, TensorType::q4_k); });
  c.edited(96, "embedding-i32", all, "GGUF_SCHEMA_TYPE",
           [](Subject& s) { s.tensor("token_embd.weight").type = static_cast<uint32_t>(TensorType::i32); });
  c.edited(96, "norm-f16", all, "GGUF_SCHEMA_TYPE", [](Subject& s) {
    s.some_norm().type = static_cast<uint32_t>(TensorType::f16);
    s.some_norm().data.resize(64);
  });
  c.edited(97, "offset-unaligned", all, "GGUF_TENSOR_OFFSET", [](Subject& s) { s.tensors[1].offset = 33; });
  c.edited(98, "offset-2-40", all, "GGUF_TENSOR_OFFSET", [](Subject& s) { s.tensors[1].offset = pow2(40); });
  c.edited(98, "offset-2-64", all, "GGUF_TENSOR_OFFSET", [](Subject& s) { s.tensors[1].offset = uint64_t{0} - 32; });
  c.edited(99, "offset-overlaps", all, "GGUF_TENSOR_OFFSET", [](Subject& s) { s.tensors[1].offset = 0; });
  c.edited(115, "offsets-past-4-gib", all, "GGUF_TRUNCATED",
           [](Subject& s) { s.extra("extra.weight", {pow2(20), pow2(11)}); });
  c.edited(100, "name-64-bytes", all, "GGUF_TENSOR_NAME",
           [](Subject& s) { s.some_matrix().name = std::string(64, 'n'); });
  c.edited(100, "name-empty", all, "GGUF_TENSOR_NAME", [](Subject& s) { s.some_matrix().name = ""; });
  c.edited(100, "name-twice", all, "GGUF_TENSOR_DUPLICATE",
           [](Subject& s) { s.some_matrix().name = "token_embd.weight"; });
  c.edited(100, "name-with-nul", all, "GGUF_TENSOR_NAME",
           [](Subject& s) { s.some_matrix().name = std::string("a\0b", 3); });
}

void add_schema_faults(Corpus& c) {
  c.edited(12, "tensors-one-fewer", all, "GGUF_SCHEMA_MISSING", [](Subject& s) { s.tensors.pop_back(); });
  c.edited(12, "no-token-embd", all, "GGUF_SCHEMA_MISSING", [](Subject& s) { s.remove_tensor("token_embd.weight"); });
  c.edited(101, "extra-tensor", all, "GGUF_SCHEMA_UNEXPECTED",
           [](Subject& s) { s.extra("extra.weight", {8}, 0, std::string(32, '\0')); });
  c.edited(101, "transposed", all, "GGUF_SCHEMA_SHAPE", [](Subject& s) { s.some_matrix().shape = {32, 64}; });
  c.edited(101, "flattened", all, "GGUF_SCHEMA_SHAPE", [](Subject& s) { s.some_matrix().shape = {32 * 64}; });
  c.edited(101, "short-norm", all, "GGUF_SCHEMA_SHAPE", [](Subject& s) {
    s.some_norm().shape = {31};
    s.some_norm().data.resize(31 * 4);
  });
  c.edited(101, "short-positions", bert, "GGUF_SCHEMA_SHAPE", [](Subject& s) {
    s.tensor("position_embd.weight").shape = {32, 63};
    s.tensor("position_embd.weight").data.resize(32 * 63 * 4);
  });
  c.edited(101, "short-vocabulary", all, "GGUF_SCHEMA_SHAPE", [](Subject& s) {
    auto& embedding = s.tensor("token_embd.weight");
    embedding.shape[1]--;
    embedding.data.resize(embedding.data.size() - 32 * 4);
  });
  c.edited(101, "one-bias-short", bert, "GGUF_SCHEMA_SHAPE", [](Subject& s) {
    s.tensor("blk.0.ffn_up.bias").shape = {63};
    s.tensor("blk.0.ffn_up.bias").data.resize(63 * 4);
  });
  c.edited(101, "bias-in-one-layer-only", bert, "GGUF_SCHEMA_MISSING",
           [](Subject& s) { s.remove_tensor("blk.0.ffn_up.bias"); });
  c.edited(101, "no-required-bias", {"jina-bert-v2"}, "GGUF_SCHEMA_MISSING", [](Subject& s) {
    s.remove_tensor("blk.0.ffn_down.bias");
    s.remove_tensor("blk.1.ffn_down.bias");
  });
  c.edited(102, "no-token-types", word_piece, "", [](Subject& s) { s.remove_tensor("token_types.weight"); });
  c.edited(112, "name-differs-by-case", all, "GGUF_SCHEMA_MISSING",
           [](Subject& s) { s.some_matrix().name = "blk.0.FFN_down.weight"; });
  c.edited(126, "tensors-in-another-order", all, "", [](Subject& s) { std::swap(s.tensors[0], s.tensors[2]); });
}

void add_weight_faults(Corpus& c) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  c.edited(103, "nan-weights", all, "GGUF_WEIGHTS_FINITE", [=](Subject& s) { s.some_matrix().data = numbers(2048, nan); });
  c.edited(104, "inf-weights", all, "GGUF_WEIGHTS_FINITE", [=](Subject& s) { s.some_matrix().data = numbers(2048, -inf); });
  c.edited(105, "huge-weights", all, "GGUF_WEIGHTS_RANGE", [](Subject& s) { s.some_matrix().data = numbers(2048, 1e38f); });
  c.edited(106, "zero-weights", all, "GGUF_WEIGHTS_ZERO", [](Subject& s) {
    for (auto& tensor : s.tensors) tensor.data.assign(tensor.data.size(), '\0');
  });
  c.edited(107, "one-nan-row", all, "GGUF_WEIGHTS_FINITE", [=](Subject& s) {
    s.tensor("token_embd.weight").data.replace(7 * 32 * 4, 32 * 4, numbers(32, nan));
  });
  c.edited(107, "last-number-nan", all, "GGUF_WEIGHTS_FINITE", [=](Subject& s) {
    auto& data = s.some_norm().data;
    data.replace(data.size() - 4, 4, raw(nan));
  });
  c.cut(110, "zeros-of-the-right-size", "GGUF_MAGIC", [](std::string b) { return std::string(b.size(), '\0'); });
  c.edited(111, "q8-scale-nan", all, "GGUF_WEIGHTS_FINITE", [](Subject& s) { scaled(s, 0x7E00); });
  c.edited(111, "q8-scale-inf", all, "GGUF_WEIGHTS_FINITE", [](Subject& s) { scaled(s, 0xFC00); });
  c.edited(111, "q8", all, "", [](Subject& s) { scaled(s, 0x1400); });
}

void add_other_files(Corpus& c) {
  c.edited(58, "split-3", all, "GGUF_SPLIT", [](Subject& s) {
    s.set("split.count", ValueType::u16, raw<uint16_t>(3));
    s.set("split.no", ValueType::u16, raw<uint16_t>(0));
  });
  c.edited(117, "split-65535", all, "GGUF_SPLIT",
           [](Subject& s) { s.set("split.count", ValueType::u16, raw<uint16_t>(65535)); });
  c.other(119, "gzip", "GGUF_MAGIC", std::string("\x1F\x8B\x08\0", 4) + std::string(60, 'z'));
  c.other(119, "zip", "GGUF_MAGIC", "PK\x03\x04" + std::string(60, 'z'));
  c.other(119, "html", "GGUF_MAGIC", "\n<!DOCTYPE html><html><head><title>404</title></head></html>");
  c.other(119, "git-lfs", "GGUF_MAGIC", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 133466304\n");
  c.other(120, "safetensors", "GGUF_MAGIC", raw<uint64_t>(300) + "{\"__metadata__\":{\"format\":\"pt\"}" + std::string(270, ' '));
  c.other(120, "onnx", "GGUF_MAGIC", std::string("\x08\x07\x12\x07pytorch\x1A\x05") + "2.0.0" + std::string(60, ':'));
  c.other(120, "pickle", "GGUF_MAGIC", "\x80\x04\x95" + std::string(60, '.'));
  c.edited(121, "generative", {"qwen3"}, "GGUF_GENERATIVE", [](Subject& s) {
    s.remove(s.key("pooling_type"));
    s.text("tokenizer.chat_template", "{{ messages }}");
  });
  c.edited(122, "lora", all, "GGUF_ADAPTER", [](Subject& s) {
    s.text("general.type", "adapter");
    s.text("adapter.type", "lora");
    s.f32("adapter.lora.alpha", 16);
  });
  c.edited(123, "mmproj", all, "GGUF_PROJECTOR", [](Subject& s) { s.text("general.type", "mmproj"); });
  c.edited(123, "clip", all, "GGUF_PROJECTOR", [](Subject& s) { s.text("general.architecture", "clip"); });
  c.edited(124, "reranker", bert, "GGUF_RERANKER", [](Subject& s) {
    s.extra("cls.output.weight", {32, 1}, 0, numbers(32, 0.1f));
    s.extra("cls.output.bias", {1}, 0, numbers(1, 0.1f));
  });
  c.edited(14, "vocabulary-only", all, "GGUF_VOCAB_ONLY", [](Subject& s) { s.tensors.clear(); });
}

// Quirks of published files that are healed.
void add_quirks(Corpus& c) {
  c.edited(129, "ollama-embeddinggemma", gemma, "", [](Subject& s) {
    repeat_first_layer(s, s.architecture, 6);
    for (auto& key : s.keys) {
      if (key.name.rfind("gemma-embedding.", 0) == 0) key.name.replace(0, 15, "gemma3");
    }
    s.text("general.architecture", "gemma3");
    for (const char* name : {"dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out",
                             "rope.freq_base_swa"}) {
      s.remove(std::string("gemma3.") + name);
    }
    s.boolean("gemma3.attention.causal", false);
    s.tensor("dense_2.weight").name = "dense.0.weight";
    s.tensor("dense_3.weight").name = "dense.1.weight";
    s.tensor("output_norm.weight").name = "norm.weight";
  });
  c.edited(130, "charsmap-base64", unigram, "", [](Subject& s) {
    s.strings("tokenizer.ggml.precompiled_charsmap", base64_characters(empty_charsmap()));
  });
  c.edited(131, "qwen3-embedding-without-end-token", qwen3, "", [](Subject& s) {
    s.text("general.name", "Qwen3 Embedding 0.6B");
    s.remove("tokenizer.ggml.add_eos_token");
    s.remove("tokenizer.ggml.eos_token_id");
    s.remove("qwen3.pooling_type");
  });
}

}  // namespace

std::vector<CorpusFile> malformed_corpus() {
  Corpus corpus;
  add_header_faults(corpus);
  add_key_faults(corpus);
  add_hparam_faults(corpus);
  add_vocabulary_faults(corpus);
  add_tensor_faults(corpus);
  add_schema_faults(corpus);
  add_weight_faults(corpus);
  add_other_files(corpus);
  add_quirks(corpus);
  return std::move(corpus.files);
}

std::vector<CorpusFile> valid_corpus() {
  std::vector<CorpusFile> files;
  for (const std::string& name : tiny_model_names()) files.push_back({"000-valid." + name + ".gguf", tiny_model(name).bytes(), ""});
  return files;
}

}  // namespace inlay::gguf::test
