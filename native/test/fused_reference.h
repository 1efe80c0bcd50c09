#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/fused/dequantise.h"
#include "gguf/reader.h"

namespace inlay::test {

// The models in double precision, one text at a time, straight from the published formulas: nothing is shared with
// the engine but the reading of tensors.
class Reference {
 public:
  using Row = std::vector<double>;
  using Rows = std::vector<Row>;

  explicit Reference(const gguf::Reader& file) : file(file), architecture(file.architecture()) {
    width = size("embedding_length");
    layers = size("block_count");
    heads = size("attention.head_count");
    kv_heads = int(file.integer(file.hparam_key("attention.head_count_kv")).value_or(uint64_t(heads)));
    head_size = int(file.integer(file.hparam_key("attention.key_length")).value_or(uint64_t(width / heads)));
    ffn = size("feed_forward_length");
    pooling = size("pooling_type");
    window = int(file.integer(file.hparam_key("attention.sliding_window")).value_or(0));
    pattern = int(file.integer(file.hparam_key("attention.sliding_window_pattern")).value_or(0));
    const auto eps = file.number(file.hparam_key("attention.layer_norm_epsilon"));
    epsilon = eps ? *eps : *file.number(file.hparam_key("attention.layer_norm_rms_epsilon"));
    moe = architecture == "nomic-bert-moe";
    post_norm = moe || architecture == "bert" || architecture == "nomic-bert" || architecture == "jina-bert-v2";
    gemma = architecture == "gemma-embedding";
    rms = gemma || architecture == "qwen3" || architecture == "eurobert";
    causal = architecture == "qwen3";
    for (const gguf::Tensor& tensor : file.tensors()) {
      if (tensor.name != "token_embd.weight") load(tensor);
    }
  }

  Row embed(const std::vector<int32_t>& ids) {
    Rows x = embeddings(ids);
    for (int i = 0; i < layers; i++) layer(i, x);
    if (!post_norm) x = norm("output_norm", x);
    Row pooled(size_t(width), 0.0);
    if (pooling == 1) {
      for (const Row& row : x) {
        for (int c = 0; c < width; c++) pooled[size_t(c)] += row[size_t(c)] / double(x.size());
      }
    } else {
      pooled = pooling == 2 ? x.front() : x.back();
    }
    if (tensors.count("dense_2.weight") != 0) {
      pooled = product("dense_3", product("dense_2", {pooled})).front();
    }
    return pooled;
  }

 private:
  int size(const char* name) const { return int(*file.integer(file.hparam_key(name))); }

  void load(const gguf::Tensor& tensor) {
    std::vector<uint8_t> raw(tensor.bytes);
    file.read(tensor, 0, tensor.bytes, raw.data());
    std::vector<float> values(tensor.ne[0] * tensor.ne[1] * tensor.ne[2]);
    fused::dequantise(tensor.type, raw.data(), values.data(), int64_t(values.size()));
    tensors[tensor.name] = Row(values.begin(), values.end());
  }

  Rows embeddings(const std::vector<int32_t>& ids) {
    const gguf::Tensor& table = *file.tensor("token_embd.weight");
    const uint64_t row_bytes = table.bytes / table.ne[1];
    Rows x;
    for (size_t t = 0; t < ids.size(); t++) {
      std::vector<uint8_t> raw(row_bytes);
      file.read(table, uint64_t(ids[t]) * row_bytes, row_bytes, raw.data());
      std::vector<float> values(static_cast<size_t>(width));
      fused::dequantise(table.type, raw.data(), values.data(), width);
      Row row(values.begin(), values.end());
      for (int c = 0; c < width; c++) {
        if (gemma) row[size_t(c)] *= std::sqrt(double(width));
        if (tensors.count("token_types.weight") != 0) row[size_t(c)] += tensors["token_types.weight"][size_t(c)];
        if (architecture == "bert") row[size_t(c)] += tensors["position_embd.weight"][t * size_t(width) + size_t(c)];
      }
      x.push_back(row);
    }
    return tensors.count("token_embd_norm.weight") != 0 ? norm("token_embd_norm", x) : x;
  }

  void layer(int index, Rows& x) {
    const std::string at = "blk." + std::to_string(index) + ".";
    const bool has_first_norm = tensors.count(at + "attn_norm.weight") != 0;
    Rows y = attention(index, at, post_norm || !has_first_norm ? x : norm(at + "attn_norm", x));
    if (gemma) y = norm(at + "post_attention_norm", y);
    add(x, y);
    if (post_norm) x = norm(at + "attn_output_norm", x);
    const bool mixed = moe && index % size("moe_every_n_layers") == 1;
    y = mixed ? mixture(at, x) : feed_forward(at, post_norm ? x : norm(at + "ffn_norm", x));
    if (gemma) y = norm(at + "post_ffw_norm", y);
    add(x, y);
    if (post_norm) x = norm(at + "layer_output_norm", x);
  }

  Rows feed_forward(const std::string& at, const Rows& x) {
    Rows up = product(at + "ffn_up", x);
    const bool gate_in_up = int(up.front().size()) == 2 * ffn;
    Rows gate = tensors.count(at + "ffn_gate.weight") != 0 ? product(at + "ffn_gate", x) : up;
    for (size_t t = 0; t < x.size(); t++) {
      Row inner(static_cast<size_t>(ffn));
      for (size_t c = 0; c < inner.size(); c++) {
        const double other = gate_in_up ? up[t][c + inner.size()] : up[t][c];
        inner[c] = architecture == "bert" || moe ? activate(up[t][c]) : activate(gate[t][c]) * other;
      }
      up[t] = inner;
    }
    return product(at + "ffn_down", up);
  }

  // nomic-embed-text-v2 (arXiv:2502.07972): every row through the experts of the highest probabilities, times them.
  Rows mixture(const std::string& at, const Rows& x) {
    const Rows logits = product(at + "ffn_gate_inp", x);
    const Row& up = tensors[at + "ffn_up_exps.weight"];
    const Row& down = tensors[at + "ffn_down_exps.weight"];
    const size_t experts = logits.front().size(), inputs = size_t(width), inners = size_t(ffn);
    Rows out(x.size(), Row(inputs, 0.0));
    for (size_t t = 0; t < x.size(); t++) {
      double total = 0;
      for (double logit : logits[t]) total += std::exp(logit);
      for (size_t e = 0; e < experts; e++) {
        int before = 0;
        for (size_t other = 0; other < experts; other++) {
          before += logits[t][other] > logits[t][e] || (logits[t][other] == logits[t][e] && other < e);
        }
        if (before >= size("expert_used_count")) continue;
        for (size_t n = 0; n < inners; n++) {
          double sum = 0;
          for (size_t i = 0; i < inputs; i++) sum += x[t][i] * up[(e * inners + n) * inputs + i];
          const double inner = activate(sum) * std::exp(logits[t][e]) / total;
          for (size_t c = 0; c < inputs; c++) out[t][c] += inner * down[(e * inputs + c) * inners + n];
        }
      }
    }
    return out;
  }

  double activate(double x) const {
    if (gemma) return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    if (architecture == "nomic-bert" || architecture == "qwen3" || architecture == "eurobert") {
      return x / (1 + std::exp(-x));
    }
    return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
  }

  bool windowed(int index) const {
    if (window == 0) return false;
    return gemma ? index % pattern < pattern - 1 : index % pattern != 0;
  }

  bool sees(int index, int query, int key) const {
    if (causal) return key <= query;
    return !windowed(index) || std::abs(query - key) <= window / 2;
  }

  double slope(int head) const {
    int power = 1;
    while (power * 2 <= heads) power *= 2;
    return head < power ? std::pow(2.0, -8.0 * (head + 1) / power)
                        : std::pow(2.0, -4.0 * (2 * (head - power) + 1) / power);
  }

  Row head(const Row& row, int index) const {
    return Row(row.begin() + index * head_size, row.begin() + (index + 1) * head_size);
  }

  Row prepared(Row one, const std::string& norm_name, int layer, size_t position) {
    if (tensors.count(norm_name) != 0) {
      double squares = 0;
      for (double v : one) squares += v * v;
      for (size_t i = 0; i < one.size(); i++) {
        one[i] *= tensors[norm_name][i] / std::sqrt(squares / head_size + epsilon);
      }
    }
    if (architecture == "bert" || architecture == "jina-bert-v2") return one;
    const char* key = windowed(layer) ? "rope.freq_base_swa" : "rope.freq_base";
    const double base = file.number(file.hparam_key(key)).value_or(10000.0);
    Row turned = one;
    for (int i = 0; i < head_size / 2; i++) {
      const double angle = double(position) * std::pow(base, -2.0 * i / head_size);
      const double a = one[size_t(i)], b = one[size_t(i + head_size / 2)];
      turned[size_t(i)] = a * std::cos(angle) - b * std::sin(angle);
      turned[size_t(i + head_size / 2)] = b * std::cos(angle) + a * std::sin(angle);
    }
    return turned;
  }

  Rows attention(int index, const std::string& at, const Rows& x) {
    Rows q, k, v;
    if (tensors.count(at + "attn_qkv.weight") != 0) {
      const auto cut = size_t(heads * head_size), kv = size_t(kv_heads * head_size);
      for (const Row& row : product(at + "attn_qkv", x)) {
        q.emplace_back(row.begin(), row.begin() + long(cut));
        k.emplace_back(row.begin() + long(cut), row.begin() + long(cut + kv));
        v.emplace_back(row.begin() + long(cut + kv), row.end());
      }
    } else {
      q = product(at + "attn_q", x);
      k = product(at + "attn_k", x);
      v = product(at + "attn_v", x);
    }
    Rows out(x.size(), Row(size_t(heads * head_size), 0.0));
    for (int h = 0; h < heads; h++) {
      const int kv_head = h / (heads / kv_heads);
      Rows keys;
      for (size_t t = 0; t < x.size(); t++) {
        keys.push_back(prepared(head(k[t], kv_head), at + "attn_k_norm.weight", index, t));
      }
      for (size_t query = 0; query < x.size(); query++) {
        const Row one = prepared(head(q[query], h), at + "attn_q_norm.weight", index, query);
        Row scores(x.size(), -INFINITY);
        double highest = -INFINITY, total = 0;
        for (size_t key = 0; key < x.size(); key++) {
          if (!sees(index, int(query), int(key))) continue;
          double sum = 0;
          for (size_t i = 0; i < one.size(); i++) sum += one[i] * keys[key][i];
          scores[key] = sum / std::sqrt(double(head_size));
          if (architecture == "jina-bert-v2") scores[key] -= slope(h) * std::fabs(double(query) - double(key));
          highest = std::fmax(highest, scores[key]);
        }
        for (double& score : scores) total += score = std::exp(score - highest);
        for (size_t key = 0; key < x.size(); key++) {
          for (int i = 0; i < head_size; i++) {
            out[query][size_t(h * head_size + i)] += scores[key] / total * v[key][size_t(kv_head * head_size + i)];
          }
        }
      }
    }
    return product(at + "attn_output", out);
  }

  Rows product(const std::string& name, const Rows& x) {
    const Row& weights = tensors[name + ".weight"];
    const size_t depth = x.front().size(), columns = weights.size() / depth;
    const Row* bias = tensors.count(name + ".bias") != 0 ? &tensors[name + ".bias"] : nullptr;
    Rows out;
    for (const Row& row : x) {
      Row sums(columns);
      for (size_t n = 0; n < columns; n++) {
        sums[n] = bias == nullptr ? 0.0 : (*bias)[n];
        for (size_t i = 0; i < depth; i++) sums[n] += row[i] * weights[n * depth + i];
      }
      out.push_back(sums);
    }
    return out;
  }

  Rows norm(const std::string& name, const Rows& x) {
    const Row& weight = tensors[name + ".weight"];
    const Row* bias = tensors.count(name + ".bias") != 0 ? &tensors[name + ".bias"] : nullptr;
    Rows out;
    for (Row row : x) {
      double mean = 0, squares = 0;
      for (double v : row) mean += rms ? 0 : v / double(row.size());
      for (double v : row) squares += (v - mean) * (v - mean) / double(row.size());
      for (size_t c = 0; c < row.size(); c++) {
        row[c] = (row[c] - mean) / std::sqrt(squares + epsilon) * weight[c] + (bias == nullptr ? 0.0 : (*bias)[c]);
      }
      out.push_back(row);
    }
    return out;
  }

  static void add(Rows& x, const Rows& y) {
    for (size_t t = 0; t < x.size(); t++) {
      for (size_t c = 0; c < x[t].size(); c++) x[t][c] += y[t][c];
    }
  }

  const gguf::Reader& file;
  std::string architecture;
  int width, layers, heads, kv_heads, head_size, ffn, pooling, window, pattern;
  double epsilon;
  bool post_norm, gemma, moe, rms, causal;
  std::map<std::string, Row> tensors;
};

}  // namespace inlay::test
