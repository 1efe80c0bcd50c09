#include "engine/fused/fused.h"

#include <algorithm>
#include <string>

#include "engine/fused/cost.h"
#include "engine/fused/forward.h"
#include "engine/fused/model.h"
#include "engine/fused/workspace.h"
#include "failure.h"
#include "tokenizer/tokenizer.h"

namespace inlay {
namespace {

using fused::FusedWorkspace;
using fused::Model;

class FusedEngine final : public Engine {
 public:
  FusedEngine(std::unique_ptr<gguf::Reader> opened, std::unique_ptr<Tokenizer> own, const LoadOptions& options)
      : file(std::move(opened)), tokenizer(std::move(own)), model(fused::load_model(*file, options)),
        cost(fused::estimate_cost(model, fused::measure_rate(*model.kernels, model.weights.layer_panels))) {
    describe();
  }

  const EngineInfo& info() const override { return description; }

  void tokenize(std::string_view text, bool parse_special, std::vector<int32_t>& ids) const override {
    tokenizer->encode(text, parse_special, ids);
  }
  const std::vector<int32_t>& prefix() const override { return tokenizer->prefix; }
  const std::vector<int32_t>& suffix() const override { return tokenizer->suffix; }

  std::unique_ptr<Workspace> create_workspace(int32_t tokens) const override {
    for (const auto& table : model.rotations) table->fill(tokens);
    return std::make_unique<FusedWorkspace>(model, tokens);
  }

  void forward(Workspace& workspace, const SequenceView* sequences, int32_t count, Team& team,
               const std::atomic<bool>& cancelled) const override {
    FusedWorkspace& mine = static_cast<FusedWorkspace&>(workspace);
    const int64_t tokens = check(sequences, count, mine.tokens);
    const bool split = team.threads() > 1 && tokens >= cost.split_tokens;
    fused::forward(model, mine, sequences, count, team, split, cancelled);
  }

  int32_t micro_batch_tokens() const override { return cost.micro_batch_tokens; }
  int32_t split_tokens() const override { return cost.split_tokens; }
  uint64_t weight_bytes() const override { return model.weights.memory.size(); }

 private:
  // The kernels read where ids and lengths send them, so nothing gets past here that would be out of bounds.
  int64_t check(const SequenceView* sequences, int32_t count, int32_t capacity) const {
    int64_t tokens = 0;
    for (int32_t s = 0; s < count; s++) {
      const SequenceView& sequence = sequences[s];
      if (sequence.count < 1 || sequence.count > model.shape.context) {
        throw Failure(FailureCode::internal, "a sequence of " + std::to_string(sequence.count) +
                                                 " tokens does not fit the model's context", s);
      }
      for (int32_t t = 0; t < sequence.count; t++) {
        if (uint32_t(sequence.ids[t]) >= uint32_t(model.shape.vocabulary)) {
          throw Failure(FailureCode::input_invalid, "the token " + std::to_string(sequence.ids[t]) +
                                                        " is not of the model's vocabulary", s);
        }
      }
      tokens += sequence.count;
    }
    if (tokens > capacity) throw Failure(FailureCode::internal, "more tokens than the workspace holds");
    return tokens;
  }

  void describe() {
    description.engine = "fused";
    description.architecture = file->architecture();
    description.name = std::string(file->string("general.name").value_or(""));
    description.device = "cpu";
    description.precision = fused::precision_name(model.precision);
    description.isa = model.kernels->name;
    description.tokenizer = tokenizer->name;
    description.pooling = model.pooling;
    description.dimensions = model.shape.output_width();
    description.context_length = model.shape.context;
    description.vocabulary = model.shape.vocabulary;
    description.parameters = model.weights.parameters;
    description.flops_per_token = model.weights.flops_per_token;
  }

  std::unique_ptr<gguf::Reader> file;  // the tokenizer views its vocabulary
  std::unique_ptr<Tokenizer> tokenizer;
  Model model;
  fused::Cost cost;
  EngineInfo description;
};

}  // namespace

bool fused_supports(const gguf::Reader& file) {
  try {
    fused::check_tensors(file, fused::read_shape(file));
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

std::unique_ptr<Engine> create_fused_engine(std::unique_ptr<gguf::Reader> file, std::unique_ptr<Tokenizer> tokenizer,
                                            const LoadOptions& options) {
  return std::make_unique<FusedEngine>(std::move(file), std::move(tokenizer), options);
}

}  // namespace inlay
