#include "engine/fused/packing.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/fused/dequantise.h"
#include "failure.h"

namespace inlay::fused {
namespace {

using gguf::Tensor;
using gguf::TensorType;
using kernels::PanelType;

[[noreturn]] void invalid(const std::string& what) { throw Failure(FailureCode::model_invalid, what); }

uint64_t row_bytes(const Tensor& tensor) {
  const gguf::BlockSize block = gguf::block_size(tensor.type);
  return tensor.ne[0] / block.elements * block.bytes;
}

void check_finite(bool finite, const Tensor& tensor) {
  if (!finite) invalid("the model file's tensor " + tensor.name + " holds a value that is not a finite number");
}

// Runs task(i) for each i below `count` on up to `threads` threads; the first exception of any is thrown again here.
template <typename Task>
void on_threads(int32_t threads, int32_t count, const Task& task) {
  std::atomic<int32_t> next{0};
  std::exception_ptr failed;
  std::mutex failing;
  const auto work = [&]() noexcept {
    for (int32_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failing);
        if (!failed) failed = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> others;
  try {
    for (int32_t i = 1; i < threads; i++) others.emplace_back(work);
  } catch (const std::exception&) {
    // No thread to be had: the ones there are do it all.
  }
  work();
  for (std::thread& other : others) other.join();
  if (failed) std::rethrow_exception(failed);
}

}  // namespace

const Tensor& Packing::find(const std::string& name, uint64_t columns, uint64_t rows, uint64_t slices) const {
  const Tensor* tensor = file.tensor(name);
  if (tensor == nullptr) invalid("the model file has no tensor " + name);
  if (!is_dequantisable(tensor->type)) {
    throw Failure(FailureCode::model_unsupported, "the tensor " + name + " is of type " +
                                                      gguf::type_name(tensor->type) + ", which is not known");
  }
  if (tensor->ne[0] != columns || tensor->ne[1] < rows || tensor->ne[2] != slices || tensor->ne[3] != 1 ||
      tensor->ne[0] % gguf::block_size(tensor->type).elements != 0 ||
      tensor->bytes < row_bytes(*tensor) * rows * slices) {
    const auto size = [](uint64_t x, uint64_t y, uint64_t z) {
      return std::to_string(x) + " x " + std::to_string(y) + (z == 1 ? "" : " x " + std::to_string(z));
    };
    invalid("the model file's tensor " + name + " is " + size(tensor->ne[0], tensor->ne[1], tensor->ne[2]) +
            "; expected " + size(columns, rows, slices));
  }
  return *tensor;
}

void Packing::forbid(const std::string& name) const {
  if (has(name)) throw Failure(FailureCode::model_unsupported, "the fused engine does not know the tensor " + name);
}

void Packing::matrix(Matrix& target, std::vector<Piece> pieces, int32_t depth, bool gated, PanelType type) {
  if (type == PanelType::int8 && depth > kernels::largest_int8_depth) {
    throw Failure(FailureCode::model_unsupported, "a product as deep as " + std::to_string(depth) +
                                                      " overflows sums of int8 products; choose another precision");
  }
  MatrixJob job = {&target, {}, false, nullptr, nullptr};
  int32_t rows = 0;
  bool halves = kernels.f16_panels;
  for (const Piece& piece : pieces) {
    const Tensor& weight = find(piece.name + ".weight", uint64_t(depth), uint64_t(piece.rows), uint64_t(piece.slices));
    if (weight.ne[1] != uint64_t(piece.rows)) {
      invalid("the model file's tensor " + weight.name + " has " + std::to_string(weight.ne[1]) + " rows; expected " +
              std::to_string(piece.rows));
    }
    const bool biased = has(piece.name + ".bias");
    const Tensor* bias = biased ? &find(piece.name + ".bias", uint64_t(piece.rows), 1) : nullptr;
    const uint64_t first_row = uint64_t(piece.slice) * uint64_t(piece.rows);
    job.pieces.push_back({&weight, bias, piece.rows, first_row});
    if (type == PanelType::int8 && !fits_bytes(job.pieces.back(), depth)) type = PanelType::native;
    job.biased = job.biased || biased;
    halves = halves && weight.type == TensorType::f16;
    rows += piece.rows;
  }
  target.type = halves && type == PanelType::native ? PanelType::f16 : type;
  target.depth = depth;
  target.columns = gated ? rows / 2 : rows;
  target.panel_count = kernels::panel_count(kernels, target.columns, gated);
  target.gated = gated;
  matrices.push_back(std::move(job));
}

// By some rows of it: whether rounding to the coarsest range of PanelType::int8 leaves 95 % of them. Weights of a trained
// model lose 2 %. What loses all is a small part that many columns share beside a few large ones.
bool Packing::fits_bytes(const MatrixPiece& piece, int32_t depth) const {
  constexpr int32_t most_rows = 16;
  constexpr double most_lost = 0.05;
  const uint64_t bytes = row_bytes(*piece.weight);
  std::vector<uint8_t> raw(size_t(bytes), uint8_t(0));
  std::vector<float> row(size_t(depth), 0.0f);
  double squares = 0, lost = 0;
  const int32_t rows = std::min(piece.rows, most_rows);
  for (int32_t i = 0; i < rows; i++) {
    const uint64_t at = piece.first_row + uint64_t(int64_t(piece.rows) * i / rows);
    file.read(*piece.weight, at * bytes, bytes, raw.data());
    dequantise(piece.weight->type, raw.data(), row.data(), depth);
    float top = 0;
    for (const float w : row) top = std::max(top, std::fabs(w));
    const double step = double(top) / 63;
    for (const float w : row) {
      squares += double(w) * w;
      const double off = step > 0 ? w - std::nearbyint(w / step) * step : 0;
      lost += off * off;
    }
  }
  return !(lost > most_lost * most_lost * squares);
}

void Packing::vector(const float*& target, const std::string& name, int32_t count, Need need) {
  rows(target, name, count, 1, need);
}

void Packing::rows(const float*& target, const std::string& name, int32_t columns, int32_t rows, Need need) {
  if (need == Need::optional && !has(name)) return;
  const Tensor& tensor = find(name, uint64_t(columns), uint64_t(rows));
  const int64_t count = int64_t(columns) * rows;
  floats.push_back({&target, &tensor, count, (count + 31) / 32 * 32, nullptr});
}

void Packing::token_table(TokenTable& target, const std::string& name, int32_t columns, bool read) {
  const Tensor& tensor = find(name, uint64_t(columns), 1);
  target.type = tensor.type;
  target.row_bytes = row_bytes(tensor);
  tokens = read ? &target : nullptr;
  token_tensor = &tensor;
}

void Packing::place(Arena& arena) {
  for (MatrixJob& job : matrices) {
    const Matrix& m = *job.target;
    job.panels = arena.take_bytes(uint64_t(m.panel_count) * kernels::panel_bytes(kernels, m.type, m.depth));
    if (job.biased) job.bias = arena.take<float>(uint64_t(m.panel_count) * uint64_t(kernels.panel_columns));
  }
  for (FloatJob& job : floats) job.values = arena.take<float>(uint64_t(job.padded));
  if (tokens != nullptr) token_rows = arena.take<uint8_t>(token_tensor->bytes);
}

Memory Packing::run() {
  Arena sizes;
  place(sizes);
  Memory memory(sizes.taken());
  Arena arena(memory);
  place(arena);

  // A unit is some panels of a matrix, a small vector, or a part of the token table.
  struct Unit {
    const MatrixJob* matrix;
    const FloatJob* floats;
    uint64_t begin, end;
  };
  constexpr int32_t panels_at_once = 16;
  constexpr uint64_t table_part = uint64_t(4) << 20;
  std::vector<Unit> units;
  for (const MatrixJob& job : matrices) {
    for (int32_t panel = 0; panel < job.target->panel_count; panel += panels_at_once) {
      units.push_back({&job, nullptr, uint64_t(panel),
                       uint64_t(std::min(panel + panels_at_once, job.target->panel_count))});
    }
  }
  for (const FloatJob& job : floats) units.push_back({nullptr, &job, 0, 0});
  if (tokens != nullptr) {
    for (uint64_t at = 0; at < token_tensor->bytes; at += table_part) {
      units.push_back({nullptr, nullptr, at, std::min(at + table_part, token_tensor->bytes)});
    }
  }

  // A thread for every 8 MB, up to four: beyond, the file's reading is the limit.
  const uint64_t wanted = std::max<uint64_t>(1, std::min<uint64_t>(4, sizes.taken() >> 23));
  const uint64_t threads = std::min<uint64_t>(wanted, std::max(1u, std::thread::hardware_concurrency()));
  on_threads(int32_t(threads), int32_t(units.size()), [&](int32_t i) {
    const Unit& unit = units[size_t(i)];
    if (unit.matrix != nullptr) {
      pack_matrix(*unit.matrix, int32_t(unit.begin), int32_t(unit.end));
      if (unit.begin == 0 && unit.matrix->biased) read_bias(*unit.matrix);
    } else if (unit.floats != nullptr) {
      read_floats(*unit.floats->tensor, unit.floats->count, unit.floats->values);
    } else {
      file.read(*token_tensor, unit.begin, unit.end - unit.begin, token_rows + unit.begin);
    }
  });

  for (const MatrixJob& job : matrices) {
    job.target->panels = job.panels;
    job.target->bias = job.bias;
  }
  for (const FloatJob& job : floats) *job.target = job.values;
  if (tokens != nullptr) tokens->rows = token_rows;
  return memory;
}

// Panels take their columns' rows from the pieces: column c of panel p is row p * panel_columns + c, or, gated, row
// p * half + c of the gate in the panel's first half and of the other matrix in its second.
void Packing::pack_matrix(const MatrixJob& job, int32_t panel_begin, int32_t panel_end) const {
  const Matrix& m = *job.target;
  const int32_t width = kernels.panel_columns;
  const int32_t run = m.gated ? width / 2 : width;
  const bool halves = m.type == PanelType::f16;
  uint64_t longest_row = 0;
  for (const MatrixPiece& piece : job.pieces) longest_row = std::max(longest_row, row_bytes(*piece.weight));
  std::vector<uint8_t> raw(size_t(longest_row) * size_t(width));
  std::vector<float> rows(halves ? 0 : size_t(m.depth) * size_t(width));
  std::vector<uint16_t> half_rows(halves ? size_t(m.depth) * size_t(width) : 0);
  char* panel_at = static_cast<char*>(job.panels);
  const uint64_t panel_bytes = kernels::panel_bytes(kernels, m.type, m.depth);

  for (int32_t panel = panel_begin; panel < panel_end; panel++) {
    std::fill(rows.begin(), rows.end(), 0.0f);
    std::fill(half_rows.begin(), half_rows.end(), uint16_t(0));
    for (int32_t column = 0; column < width;) {
      // The longest run of rows that lie one after another in one piece.
      const bool second = column >= run;
      const int32_t out = panel * run + column % run;
      if (out >= m.columns) {
        column = second || !m.gated ? width : run;
        continue;
      }
      int32_t row = (second ? m.columns : 0) + out;
      size_t at = 0;
      while (row >= job.pieces[at].rows) row -= job.pieces[at++].rows;
      const MatrixPiece& piece = job.pieces[at];
      const int32_t count = std::min({run - column % run, m.columns - out, piece.rows - row});
      const Tensor& tensor = *piece.weight;
      const uint64_t bytes = row_bytes(tensor);
      const int64_t values = int64_t(m.depth) * count;
      const uint64_t from = (piece.first_row + uint64_t(row)) * bytes;
      const size_t to = size_t(column) * size_t(m.depth);
      if (halves) {
        file.read(tensor, from, bytes * uint64_t(count), &half_rows[to]);
        check_finite(all_finite_halves(&half_rows[to], values), tensor);
      } else {
        file.read(tensor, from, bytes * uint64_t(count), raw.data());
        if (tensor.type == TensorType::f16) {
          kernels.widen_f16(reinterpret_cast<const uint16_t*>(raw.data()), &rows[to], values);
        } else {
          dequantise(tensor.type, raw.data(), &rows[to], values);
        }
        check_finite(all_finite(&rows[to], values), tensor);
      }
      column += count;
    }
    char* packed = panel_at + uint64_t(panel) * panel_bytes;
    if (halves) kernels.pack_f16(half_rows.data(), m.depth, m.depth, packed);
    else (m.type == PanelType::int8 ? kernels.pack_int8 : kernels.pack)(rows.data(), m.depth, m.depth, packed);
  }
}

void Packing::read_bias(const MatrixJob& job) const {
  const Matrix& m = *job.target;
  std::vector<float> values;
  for (const MatrixPiece& piece : job.pieces) {
    const size_t before = values.size();
    values.resize(before + size_t(piece.rows), 0.0f);
    if (piece.bias != nullptr) read_floats(*piece.bias, piece.rows, &values[before]);
  }
  const int32_t width = kernels.panel_columns;
  const int32_t run = m.gated ? width / 2 : width;
  for (int32_t i = 0; i < m.panel_count * width; i++) {
    const int32_t column = i / width * run + i % run;
    if (column < m.columns) job.bias[i] = values[size_t(i % width >= run ? m.columns + column : column)];
  }
}

void Packing::read_floats(const Tensor& tensor, int64_t count, float* out) const {
  const gguf::BlockSize block = gguf::block_size(tensor.type);
  const uint64_t bytes = uint64_t(count) / block.elements * block.bytes;
  std::vector<uint8_t> raw(size_t(bytes), uint8_t(0));
  file.read(tensor, 0, bytes, raw.data());
  dequantise(tensor.type, raw.data(), out, count);
  check_finite(all_finite(out, count), tensor);
}

}  // namespace inlay::fused
