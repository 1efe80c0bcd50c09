#pragma once

// The only place that sets Node-API's macros and includes napi.h.
#define NAPI_VERSION 9
#define NODE_ADDON_API_DISABLE_DEPRECATED
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL
#define NODE_ADDON_API_REQUIRE_BASIC_FINALIZERS
#define NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS

#include <napi.h>
