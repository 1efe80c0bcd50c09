#pragma once

#include <cstdint>
#include <string>

namespace inlay {

// Where the kernel tells of control groups.
struct MachineFiles {
  std::string cgroups = "/sys/fs/cgroup";
  std::string membership = "/proc/self/cgroup";
};

// Cores this process may really use: the least of the scheduler affinity and the cgroup (v1 or v2) CPU quota,
// fractions rounded up. At least 1.
struct CoreCount {
  int32_t cores;
  std::string why;  // "affinity mask of 2 CPUs", "cgroup quota of 0.5 CPUs"
};
CoreCount usable_cores(const MachineFiles& files = {});

// Bytes of memory this process may use: the cgroup's limit where there is one, else the machine's.
struct MemoryLimit {
  uint64_t bytes;
  std::string why;
};
MemoryLimit usable_memory(const MachineFiles& files = {});

// Resident bytes of this process, 0 where the platform does not tell.
uint64_t resident_memory();

// The size libuv gives its pool: UV_THREADPOOL_SIZE, 4 where it is not set.
int32_t uv_pool_size();

// Whether this CPU and operating system can run what the addon is compiled for. Empty, or a sentence that says what
// is missing. Uses no instruction above the platform's base.
std::string missing_cpu_features();

}  // namespace inlay
