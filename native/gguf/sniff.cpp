#include <cctype>

#include "gguf/contents.h"
#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

bool is_html(std::string_view bytes) {
  while (!bytes.empty() && std::isspace(static_cast<unsigned char>(bytes.front()))) bytes.remove_prefix(1);
  std::string lower;
  for (unsigned char c : bytes.substr(0, 14)) lower += static_cast<char>(std::tolower(c));
  return starts_with(lower, "<!doctype html") || starts_with(lower, "<html") || starts_with(lower, "<head");
}

// A safetensors file is the length of a JSON object, in 8 little-endian bytes, and that object.
bool is_safetensors(std::string_view bytes) {
  return bytes.size() >= 10 && bytes[8] == '{' && (bytes[9] == '"' || bytes[9] == ' ' || bytes[9] == '}') &&
         bytes[5] == 0 && bytes[6] == 0 && bytes[7] == 0;
}

bool is_onnx(std::string_view bytes) {
  // ModelProto: field 1 (ir_version, a varint below 32), then field 2 or 7 (producer_name, graph).
  return bytes.size() >= 4 && bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 32 && (bytes[2] == 0x12 || bytes[2] == 0x3A);
}

}  // namespace

std::string describe_other_file(std::string_view bytes) {
  if (is_html(bytes)) {
    return "it is an HTML page, probably an error or login page that was saved in place of the model; download it again";
  }
  if (starts_with(bytes, "version https://git-lfs.github.com/spec")) {
    return "it is a Git LFS pointer, not the model itself; fetch the model with `git lfs pull` or download it";
  }
  if (starts_with(bytes, "PK\x03\x04")) {
    return "it is a zip archive (perhaps a PyTorch checkpoint); inlay reads GGUF files only";
  }
  if (starts_with(bytes, "\x1F\x8B")) return "it is gzip-compressed; decompress it first";
  if (starts_with(bytes, "\x28\xB5\x2F\xFD")) return "it is zstd-compressed; decompress it first";
  if (starts_with(bytes, "\x80") && bytes.size() > 1 && bytes[1] >= 2 && bytes[1] <= 5) {
    return "it is a Python pickle (perhaps a PyTorch checkpoint); convert it to GGUF first";
  }
  if (is_safetensors(bytes)) return "it is a safetensors file; convert it to GGUF first";
  if (is_onnx(bytes)) return "it seems to be an ONNX model; inlay reads GGUF files only";
  for (std::string_view magic : {"lmgg", "fmgg", "tjgg", "algg", "GGML"}) {
    if (starts_with(bytes, magic)) {
      return "it is a ggml file of the time before GGUF (magic " + printable(magic) + "); convert it to GGUF first";
    }
  }
  if (starts_with(bytes, "{") || starts_with(bytes, "[")) return "it is JSON text, not a model";
  if (bytes.find_first_not_of('\0') == std::string_view::npos) {
    return "it starts with zeros, as an interrupted download does; download it again";
  }
  return "it starts with " + printable(bytes.substr(0, 4));
}

}  // namespace inlay::gguf
