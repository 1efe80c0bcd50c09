#include "tokenizer/unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "tokenizer/scratch.h"
#include "tokenizer/utf8.h"

namespace inlay::unicode {

namespace {

// Hangul syllables are composed by arithmetic: The Unicode Standard, section 3.12.
constexpr char32_t s_base = 0xAC00, l_base = 0x1100, v_base = 0x1161, t_base = 0x11A7;
constexpr char32_t l_count = 19, v_count = 21, t_count = 28, s_count = l_count * v_count * t_count;

char32_t compose(char32_t first, char32_t second) {
  if (first - l_base < l_count && second - v_base < v_count) {
    return s_base + ((first - l_base) * v_count + (second - v_base)) * t_count;
  }
  if (first - s_base < s_count && (first - s_base) % t_count == 0 &&
      second - t_base - 1 < t_count - 1) {
    return first + (second - t_base);
  }
  size_t low = 0;
  size_t high = std::size(tables::composition) / 3;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const uint32_t* pair = tables::composition + 3 * middle;
    if (pair[0] == first && pair[1] == second) return pair[2];
    if (pair[0] < first || (pair[0] == first && pair[1] < second)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return 0;
}

struct Scalar {
  char32_t c;
  uint8_t rank;
};

void append_composed(std::vector<Scalar>& run, std::string& out) {
  for (size_t i = 0; i < run.size();) {
    if (run[i].rank == 0) {
      i++;
      continue;
    }
    size_t end = i;
    while (end < run.size() && run[end].rank != 0) end++;
    std::stable_sort(run.begin() + static_cast<ptrdiff_t>(i),
                     run.begin() + static_cast<ptrdiff_t>(end),
                     [](const Scalar& a, const Scalar& b) { return a.rank < b.rank; });
    i = end;
  }

  // `kept` scalars stay, `starter` is the last of them with rank 0. A mark is blocked from the
  // starter by a kept one of the same or a higher rank between them.
  size_t kept = 0;
  size_t starter = run.size();
  for (const Scalar scalar : run) {
    if (starter < kept) {
      const bool adjacent = starter + 1 == kept;
      if (adjacent || (run[kept - 1].rank != 0 && run[kept - 1].rank < scalar.rank)) {
        if (const char32_t composite = compose(run[starter].c, scalar.c)) {
          run[starter].c = composite;
          continue;
        }
      }
    }
    if (scalar.rank == 0) starter = kept;
    run[kept++] = scalar;
  }
  for (size_t i = 0; i < kept; i++) utf8::append(out, run[i].c);
  run.clear();
}

}  // namespace

Category high_category(char32_t c) {
  for (size_t i = 0; i < std::size(tables::high_categories); i += 3) {
    if (c < tables::high_categories[i]) break;
    if (c <= tables::high_categories[i + 1])
      return static_cast<Category>(tables::high_categories[i + 2]);
  }
  return Cn;
}

int decompose(char32_t c, char32_t* parts) {
  if (c - s_base < s_count) {
    const char32_t syllable = c - s_base;
    parts[0] = l_base + syllable / (v_count * t_count);
    parts[1] = v_base + syllable / t_count % v_count;
    parts[2] = t_base + syllable % t_count;
    return parts[2] == t_base ? 2 : 3;
  }
  const uint16_t at = look_up(tables::decomposition_index, tables::decomposition_blocks, c);
  if (at == 0) {
    parts[0] = c;
    return 1;
  }
  for (int n = 0;; n++) {
    const uint32_t entry = tables::decomposition_pool[at + static_cast<uint32_t>(n)];
    parts[n] = entry & 0x7FFFFFFF;
    if (entry >> 31) return n + 1;
  }
}

std::string_view to_nfc(std::string_view text, std::string& buffer) {
  const char* const end = text.data() + text.size();
  const char* p = text.data();
  // Where the text has to be taken up again: the last starter before the first place that may
  // change.
  const char* boundary = p;
  while (true) {
    if (p == end) return text;
    const char* const at = p;
    const char32_t c = utf8::next(p);
    if (c >= 0x80 && properties(c).may_change_in_nfc()) break;
    boundary = at;
  }

  thread_local std::vector<Scalar> run_buffer;
  const Scratch scratch(run_buffer);
  std::vector<Scalar>& run = *scratch;
  buffer.assign(text.data(), static_cast<size_t>(boundary - text.data()));
  p = boundary;
  while (p < end) {
    const char32_t c = utf8::next(p);
    if (!properties(c).may_change_in_nfc()) append_composed(run, buffer);
    char32_t parts[4];
    const int n = decompose(c, parts);
    for (int i = 0; i < n; i++) run.push_back({parts[i], combining_rank(parts[i])});
  }
  append_composed(run, buffer);
  return buffer;
}

}  // namespace inlay::unicode
