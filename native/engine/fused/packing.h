#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/fused/memory.h"
#include "engine/fused/weights.h"
#include "gguf/reader.h"
#include "kernels/kernels.h"

namespace inlay::fused {

// Collects what a model's weights are to be, checks each against the file, and then reads and packs them all into one
// memory, on a few threads where there is much of it.
class Packing {
 public:
  enum class Need { required, optional };

  // Rows of a matrix that a tensor gives; name without ".weight" and ".bias". A tensor of three dimensions is `slices`
  // matrices, one of which the piece is.
  struct Piece {
    std::string name;
    int32_t rows;
    int32_t slices = 1;
    int32_t slice = 0;
  };

  Packing(const gguf::Reader& file, const kernels::Kernels& kernels) : file(file), kernels(kernels) {}

  // Each sets what it is given in run(); the references must still hold then.
  // The weights of one product: the rows of all pieces, one after another. Gated: the first half of them is the gate.
  // `type` native: floats, as halves where the file has halves. int8: the same where bytes would hold them badly.
  void matrix(Matrix& target, std::vector<Piece> pieces, int32_t depth, bool gated, kernels::PanelType type);
  // A bias or norm weight, padded with zeros.
  void vector(const float*& target, const std::string& name, int32_t count, Need need);
  // The first `rows` rows of a small table, as floats.
  void rows(const float*& target, const std::string& name, int32_t columns, int32_t rows, Need need);
  // As it is. Only described where `read` is false.
  void token_table(TokenTable& target, const std::string& name, int32_t columns, bool read);

  bool has(const std::string& name) const { return file.tensor(name) != nullptr; }
  // Throws model_unsupported where the file has a tensor that would change the result.
  void forbid(const std::string& name) const;

  Memory run();

 private:
  struct MatrixPiece {
    const gguf::Tensor* weight;
    const gguf::Tensor* bias;  // nullptr: none, zeros where another piece has one
    int32_t rows;
    uint64_t first_row;        // in the tensor
  };
  struct MatrixJob {
    Matrix* target;
    std::vector<MatrixPiece> pieces;
    bool biased;
    void* panels;
    float* bias;
  };
  struct FloatJob {
    const float** target;
    const gguf::Tensor* tensor;
    int64_t count;
    int64_t padded;
    float* values;
  };

  const gguf::Tensor& find(const std::string& name, uint64_t columns, uint64_t rows, uint64_t slices = 1) const;
  bool fits_bytes(const MatrixPiece& piece, int32_t depth) const;
  void place(Arena& arena);
  void pack_matrix(const MatrixJob& job, int32_t panel_begin, int32_t panel_end) const;
  void read_bias(const MatrixJob& job) const;
  void read_floats(const gguf::Tensor& tensor, int64_t count, float* out) const;

  const gguf::Reader& file;
  const kernels::Kernels& kernels;
  std::vector<MatrixJob> matrices;
  std::vector<FloatJob> floats;
  TokenTable* tokens = nullptr;
  const gguf::Tensor* token_tensor = nullptr;
  uint8_t* token_rows = nullptr;
};

}  // namespace inlay::fused
