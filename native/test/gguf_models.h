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

// Gives the model this many layers by repeating its first.
void repeat_first_layer(FileWriter& file, const std::string& architecture, uint32_t layers);

// A SentencePiece character map that maps nothing.
std::string empty_charsmap();

// Base64, each character a string of its own, as some files hold the character map.
std::vector<std::string> base64_characters(const std::string& bytes);

}  // namespace inlay::gguf::test
