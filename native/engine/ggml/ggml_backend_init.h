#pragma once

#include <string>

namespace inlay {

// Initialises llama.cpp's process-wide state once: backends, log sink, abort notice.
void init_ggml_once();

// The last error that llama.cpp logged on this thread since the call before; for messages.
std::string take_ggml_error();

}  // namespace inlay
