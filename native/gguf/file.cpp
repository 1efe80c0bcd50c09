#include "gguf/file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>

#include <io.h>
#else
#include <unistd.h>
#endif

#include "gguf/rules.h"

namespace inlay::gguf {

namespace {

// One system call reads at most this much (macOS refuses more than INT_MAX, Windows counts in 32 bits).
constexpr size_t read_limit = size_t{1} << 30;

Failure not_found(const std::string& path, const char* reason) {
  Failure failure(FailureCode::model_not_found, "cannot open the model file " + path + ": " + reason);
  failure.rule = "GGUF_FILE";
  return failure;
}

Failure read_failed(uint64_t offset, const char* reason) {
  return broken("GGUF_READ", "reading the model file failed at byte " + std::to_string(offset) + ": " + reason);
}

}  // namespace

#ifdef _WIN32

namespace {

std::wstring wide_path(const std::string& path) {
  const int bytes = static_cast<int>(path.size());
  const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), bytes, nullptr, 0);
  if (length <= 0) throw not_found(path, "the path is not well-formed UTF-8");
  std::wstring wide(static_cast<size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), bytes, &wide[0], length);

  // MAX_PATH ends ordinary paths at 260 characters; the \\?\ form has no such limit but wants a full path.
  if (wide.size() < 248 || wide.compare(0, 4, L"\\\\?\\") == 0) return wide;
  const DWORD full_length = GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
  if (full_length == 0) return wide;
  std::wstring full(full_length, L'\0');
  full.resize(GetFullPathNameW(wide.c_str(), full_length, &full[0], nullptr));
  return full.compare(0, 2, L"\\\\") == 0 ? L"\\\\?\\UNC" + full.substr(1) : L"\\\\?\\" + full;
}

}  // namespace

File::File(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw not_found(path, "the path holds a NUL byte");
  const std::wstring wide = wide_path(path);
  HANDLE handle = INVALID_HANDLE_VALUE;
  for (int attempt = 0; attempt < 10; attempt++) {
    handle = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                         OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    // A virus scanner may hold a new file for a moment.
    if (handle != INVALID_HANDLE_VALUE || GetLastError() != ERROR_SHARING_VIOLATION) break;
    Sleep(20);
  }
  if (handle == INVALID_HANDLE_VALUE) {
    const DWORD error = GetLastError();
    if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) throw not_found(path, "no such file");
    if (error == ERROR_SHARING_VIOLATION) throw not_found(path, "another program holds it open");
    throw not_found(path, "access denied, or it is a folder");
  }
  LARGE_INTEGER size;
  if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileSizeEx(handle, &size)) {
    CloseHandle(handle);
    throw broken("GGUF_FILE", path + " is not a regular file");
  }
  length = static_cast<uint64_t>(size.QuadPart);
  fd = _open_osfhandle(reinterpret_cast<intptr_t>(handle), _O_RDONLY | _O_BINARY);
  if (fd < 0) {
    CloseHandle(handle);
    throw not_found(path, "too many open files");
  }
}

File::~File() {
  if (fd >= 0) _close(fd);
}

size_t File::read_at(uint64_t offset, void* destination, size_t bytes) const {
  const HANDLE handle = reinterpret_cast<HANDLE>(_get_osfhandle(fd));
  size_t done = 0;
  while (done < bytes) {
    OVERLAPPED position{};
    position.Offset = static_cast<DWORD>(offset + done);
    position.OffsetHigh = static_cast<DWORD>((offset + done) >> 32);
    const DWORD wanted = static_cast<DWORD>(bytes - done < read_limit ? bytes - done : read_limit);
    DWORD got = 0;
    if (!ReadFile(handle, static_cast<uint8_t*>(destination) + done, wanted, &got, &position)) {
      if (GetLastError() == ERROR_HANDLE_EOF) break;
      throw read_failed(offset + done, "input/output error");
    }
    if (got == 0) break;
    done += got;
  }
  return done;
}

#else

File::File(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw not_found(path, "the path holds a NUL byte");
  // Without O_NONBLOCK, opening a pipe nobody writes to would wait for ever.
  do {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    if (errno == ENXIO) throw broken("GGUF_FILE", path + " is not a regular file");
    throw not_found(path, std::strerror(errno));
  }
  struct stat status;
  const bool known = ::fstat(fd, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const bool folder = known && S_ISDIR(status.st_mode);
    ::close(fd);
    if (folder) throw not_found(path, "it is a folder");
    throw broken("GGUF_FILE", path + " is not a regular file");
  }
  length = static_cast<uint64_t>(status.st_size);
}

File::~File() {
  if (fd >= 0) ::close(fd);
}

size_t File::read_at(uint64_t offset, void* destination, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const size_t wanted = bytes - done < read_limit ? bytes - done : read_limit;
    const ssize_t got =
        ::pread(fd, static_cast<uint8_t*>(destination) + done, wanted, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw read_failed(offset + done, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

#endif

}  // namespace inlay::gguf
