#include "engine/ggml/ggml_backend_init.h"

#include <ggml.h>
#include <llama.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace inlay {
namespace {

thread_local std::string last_error;

bool logs_wanted() {
  static const bool wanted = [] {
    const char* level = std::getenv("INLAY_LOG");
    return level && std::strcmp(level, "debug") == 0;
  }();
  return wanted;
}

// Called by llama.cpp on any thread, with text that may hold anything a model file holds.
void on_log(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) {
    last_error.assign(text, strnlen(text, 500));
    while (!last_error.empty() && last_error.back() == '\n') last_error.pop_back();
  }
  if (logs_wanted()) std::fputs(text, stderr);
}

// A callback's presence keeps ggml from forking a debugger; abort() follows whatever it does.
void on_abort(const char* message) { std::fprintf(stderr, "inlay: ggml aborts: %s\n", message); }

}  // namespace

void init_ggml_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    ggml_set_abort_callback(on_abort);
    llama_log_set(on_log, nullptr);
    // All backends are linked in and register themselves, so this searches no folder and no GGML_BACKEND_PATH.
    llama_backend_init();
  });
}

std::string take_ggml_error() {
  std::string taken;
  taken.swap(last_error);
  return taken;
}

}  // namespace inlay
