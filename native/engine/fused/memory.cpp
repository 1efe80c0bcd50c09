#include "engine/fused/memory.h"

#include <string>
#include <utility>

#include "failure.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace inlay::fused {
namespace {

constexpr uint64_t huge_page = uint64_t(2) << 20;

void* map(uint64_t bytes) {
#if defined(_WIN32)
  return VirtualAlloc(nullptr, bytes, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
#else
  void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
#if defined(MADV_HUGEPAGE)
  if (bytes >= huge_page) madvise(start, bytes, MADV_HUGEPAGE);
#endif
  return start;
#endif
}

void unmap(void* start, uint64_t bytes) {
#if defined(_WIN32)
  (void)bytes;
  VirtualFree(start, 0, MEM_RELEASE);
#else
  munmap(start, bytes);
#endif
}

}  // namespace

Memory::Memory(uint64_t wanted) {
  if (wanted == 0) return;
  // Whole huge pages, so that the last part of the memory can lie in one too.
  bytes = wanted < huge_page ? wanted : (wanted + huge_page - 1) / huge_page * huge_page;
  start = map(bytes);
  if (start == nullptr) {
    throw Failure(FailureCode::out_of_memory, "cannot get " + std::to_string(wanted >> 20) +
                                                  " MB of memory for the model; close other programs or choose a "
                                                  "smaller model");
  }
}

Memory::~Memory() {
  if (start != nullptr) unmap(start, bytes);
}

Memory::Memory(Memory&& other) noexcept
    : start(std::exchange(other.start, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(start, other.start);
  std::swap(bytes, other.bytes);
  return *this;
}

FileMapping::FileMapping(int descriptor, uint64_t offset, uint64_t wanted) {
#if defined(_WIN32)
  (void)descriptor, (void)offset, (void)wanted;
  throw Failure(FailureCode::model_unsupported, "mmap is not available on Windows; load without it");
#else
  const uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
  skipped = offset % page;
  mapped = wanted + skipped;
  void* view = mmap(nullptr, mapped, PROT_READ, MAP_PRIVATE, descriptor, off_t(offset - skipped));
  if (view == MAP_FAILED) {
    mapped = 0;
    throw Failure(FailureCode::out_of_memory, "cannot map the model file into memory; load without mmap");
  }
  start = view;
#endif
}

FileMapping::~FileMapping() {
  if (start != nullptr) unmap(start, mapped);
}

FileMapping::FileMapping(FileMapping&& other) noexcept
    : start(std::exchange(other.start, nullptr)), mapped(std::exchange(other.mapped, 0)),
      skipped(std::exchange(other.skipped, 0)) {}

FileMapping& FileMapping::operator=(FileMapping&& other) noexcept {
  std::swap(start, other.start);
  std::swap(mapped, other.mapped);
  std::swap(skipped, other.skipped);
  return *this;
}

}  // namespace inlay::fused
