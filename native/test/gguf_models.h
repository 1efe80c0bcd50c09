#pragma once

#include <string>
#include <vector>

#include "gguf_writer.h"

namespace inlay::gguf::test {

// A valid model of a few kilobytes with pseudo-random weights, of any architecture whose tensors the validator knows,
// and of "xlm-r", which is bert with a unigram vocabulary.
FileWriter tiny_model(const std::string& name);

// The names that tiny_model takes.
const std::vector<std::string>& tiny_model_names();

}  // namespace inlay::gguf::test
