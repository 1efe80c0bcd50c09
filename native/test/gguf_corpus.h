#pragma once

#include <string>
#include <vector>

namespace inlay::gguf::test {

// One file of the corpus and what must come of it.
struct CorpusFile {
  std::string name;   // such as "047-pooling-99.bert.gguf"; the number is the row of the corpus's list
  std::string bytes;
  std::string rule;   // the rule it breaks; empty: it must load
};

// Small files with one fault each: every way of being wrong that has killed or fooled a loader, over several
// architectures. Some are odd but right (their rule is empty).
std::vector<CorpusFile> malformed_corpus();

// A regular file of each architecture.
std::vector<CorpusFile> valid_corpus();

}  // namespace inlay::gguf::test
