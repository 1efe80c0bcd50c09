#include "engine/ggml/llama_tokenizer.h"

#include <llama.h>

#include <algorithm>
#include <array>
#include <climits>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include "engine/ggml/ggml_backend_init.h"
#include "failure.h"
#include "gguf/heal.h"
#include "gguf/reader.h"

namespace inlay {
namespace {

// Pre-tokenizers for which llama.cpp has a hand-written splitter. The others run std::regex, which recurses once per
// character of an unbroken run and overflows the stack at some 30,000.
constexpr std::array hand_written_splitters = {
    "default", "gpt-2",       "phi-2",       "jina-es",     "jina-de",     "jina-v2-es", "jina-v2-de", "jina-v2-code",
    "jina-v1-en", "roberta-bpe", "modern-bert", "gigachat",    "exaone4",     "llama3",     "llama-v3",   "llama-bpe",
    "falcon3", "falcon-h1",   "pixtral",     "midm-2.0",    "lfm2",        "jina-v5-nano", "qwen2",    "qwen35",
    "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open"};
constexpr size_t longest_safe_run = 4096;  // bytes

bool has_long_run(std::string_view text) {
  size_t run = 0;
  for (const char c : text) {
    run = c == ' ' || c == '\n' || c == '\t' ? 0 : run + 1;
    if (run > longest_safe_run) return true;
  }
  // Runs of white space recurse as well.
  run = 0;
  for (const char c : text) {
    run = c == ' ' || c == '\n' || c == '\t' || c == '\r' ? run + 1 : 0;
    if (run > longest_safe_run) return true;
  }
  return false;
}

using ModelPointer = std::unique_ptr<llama_model, decltype(&llama_model_free)>;

class LlamaTokenizer final : public Tokenizer {
 public:
  LlamaTokenizer(ModelPointer vocabulary_only, std::string_view pre) : model(std::move(vocabulary_only)) {
    name = "llama";
    vocab = llama_model_get_vocab(model.get());
    recursive_splitter =
        llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_BPE &&
        std::find(hand_written_splitters.begin(), hand_written_splitters.end(), pre) == hand_written_splitters.end();
    // What stands around a text's own tokens is what the model adds.
    const auto bare = tokenize("a", false, false);
    const auto whole = tokenize("a", true, false);
    const auto inner = std::search(whole.begin(), whole.end(), bare.begin(), bare.end());
    prefix.assign(whole.begin(), inner);
    if (inner != whole.end()) suffix.assign(inner + static_cast<std::ptrdiff_t>(bare.size()), whole.end());
  }

  void encode(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    if (recursive_splitter && has_long_run(text)) {
      throw Failure(FailureCode::input_invalid,
                    "This model's tokenizer cannot take an unbroken run of more than 4,096 bytes; break the text up.");
    }
    const auto tokens = tokenize(text, false, parse_special);
    ids.insert(ids.end(), tokens.begin(), tokens.end());
  }

 private:
  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special) const {
    if (text.size() > INT32_MAX / 2) throw Failure(FailureCode::input_invalid, "A text may hold at most 1 GiB.");
    std::vector<int32_t> ids(text.size() / 3 + 16);
    const auto length = static_cast<int32_t>(text.size());
    for (;;) {
      const int32_t count = llama_tokenize(vocab, text.data(), length, ids.data(), static_cast<int32_t>(ids.size()),
                                           add_special, parse_special);
      if (count >= 0) {
        ids.resize(static_cast<size_t>(count));
        return ids;
      }
      if (count == INT32_MIN) throw Failure(FailureCode::input_invalid, "The text has too many tokens.");
      ids.resize(static_cast<size_t>(-static_cast<int64_t>(count)));
    }
  }

  ModelPointer model;
  const llama_vocab* vocab;
  bool recursive_splitter;
};

}  // namespace

std::unique_ptr<Tokenizer> create_llama_tokenizer(const gguf::Reader& file) {
  init_ggml_once();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  take_ggml_error();
  const auto stream = open_model_stream(file);
  ModelPointer model(llama_model_load_from_file_ptr(stream.get(), params), llama_model_free);
  if (!model) throw Failure(FailureCode::model_invalid, "llama.cpp cannot read this vocabulary: " + take_ggml_error());
  return std::make_unique<LlamaTokenizer>(std::move(model), file.string("tokenizer.ggml.pre").value_or("default"));
}

std::unique_ptr<std::FILE, FileCloser> open_model_stream(const gguf::Reader& file) {
  std::FILE* stream;
  if (file.is_healed()) {
    stream = std::tmpfile();
    if (stream) gguf::write_model(file, stream);
  } else {
#ifdef _WIN32
    stream = _fdopen(_dup(file.descriptor()), "rb");
#else
    stream = fdopen(dup(file.descriptor()), "rb");
#endif
  }
  if (!stream) throw Failure(FailureCode::out_of_memory, "No file is left to read the model with.");
  std::rewind(stream);
  return std::unique_ptr<std::FILE, FileCloser>(stream);
}

}  // namespace inlay
