#include "runtime/machine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#ifdef __linux__
#include <sched.h>
#include <unistd.h>
#endif
#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif
#ifdef _WIN32
#include <windows.h>
#endif
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#endif

namespace inlay {
namespace {

#ifdef __linux__
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Whether a list such as "cpu,cpuacct" names a controller; the empty list names "" (v2).
bool names_controller(const std::string& list, const std::string& controller) {
  return ("," + list + ",").find("," + controller + ",") != std::string::npos;
}

// The folder of this process's own cgroup for a controller ("" for v2), below its mount.
std::string cgroup_path(const std::string& membership, const std::string& controller) {
  std::ifstream file(membership);
  std::string line;
  while (std::getline(file, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (names_controller(controllers, controller)) return line.substr(second + 1);
  }
  return "/";
}

// A container sees its own cgroup as the mount's root, while /proc/self/cgroup may name the host's path; and a limit
// may be set on any ancestor. So every level from the process's own group up to the root counts.
template <typename Read>
double least_over_levels(const std::string& mount, std::string path, Read read) {
  double least = INFINITY;
  for (;;) {
    least = std::min(least, read(mount + (path == "/" ? "" : path)));
    if (path.empty() || path == "/") return least;
    path.erase(path.rfind('/'));
    if (path.empty()) path = "/";
  }
}

double quota_v2(const std::string& folder) {
  std::istringstream line(first_line(folder + "/cpu.max"));
  std::string quota;
  double period = 0;
  if (!(line >> quota >> period) || quota == "max" || period <= 0) return INFINITY;
  return std::atof(quota.c_str()) / period;
}

double quota_v1(const std::string& folder) {
  const double quota = std::atof(first_line(folder + "/cpu.cfs_quota_us").c_str());
  const double period = std::atof(first_line(folder + "/cpu.cfs_period_us").c_str());
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

double memory_v2(const std::string& folder) {
  const std::string text = first_line(folder + "/memory.max");
  return text.empty() || text == "max" ? INFINITY : std::atof(text.c_str());
}

double memory_v1(const std::string& folder) {
  const double bytes = std::atof(first_line(folder + "/memory.limit_in_bytes").c_str());
  return bytes > 0 && bytes < 1e18 ? bytes : INFINITY;  // "no limit" is a number near 2^63
}
#endif

}  // namespace

CoreCount usable_cores([[maybe_unused]] const MachineFiles& files) {
  int32_t cores = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
  std::string why = std::to_string(cores) + " CPUs online";
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    cores = std::max(1, CPU_COUNT(&set));
    why = "affinity mask of " + std::to_string(cores) + " CPUs";
  }
  const double quota = std::min(least_over_levels(files.cgroups, cgroup_path(files.membership, ""), quota_v2),
                                least_over_levels(files.cgroups + "/cpu", cgroup_path(files.membership, "cpu"), quota_v1));
  if (quota < cores) {
    cores = std::max(1, static_cast<int32_t>(std::ceil(quota)));
    char text[64];
    std::snprintf(text, sizeof text, "cgroup quota of %.2f CPUs", quota);
    why = text;
  }
#endif
  return {cores, why};
}

MemoryLimit usable_memory([[maybe_unused]] const MachineFiles& files) {
  double bytes = 0;
#if defined(__linux__)
  bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  const double limit = std::min(least_over_levels(files.cgroups, cgroup_path(files.membership, ""), memory_v2),
                                least_over_levels(files.cgroups + "/memory", cgroup_path(files.membership, "memory"), memory_v1));
  if (limit < bytes) return {static_cast<uint64_t>(limit), "cgroup memory limit"};
#elif defined(__APPLE__)
  uint64_t size = 0;
  size_t length = sizeof size;
  if (sysctlbyname("hw.memsize", &size, &length, nullptr, 0) == 0) bytes = static_cast<double>(size);
#elif defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  if (GlobalMemoryStatusEx(&status)) bytes = static_cast<double>(status.ullTotalPhys);
#endif
  return {static_cast<uint64_t>(bytes), "physical memory"};
}

uint64_t resident_memory() {
#if defined(__linux__)
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
#elif defined(__APPLE__)
  mach_task_basic_info info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  const auto status =
      task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&info), &count);
  return status == KERN_SUCCESS ? info.resident_size : 0;
#else
  return 0;
#endif
}

int32_t uv_pool_size() {
  // As uv__threadpool_start() reads it: 4 by default, clamped to 1..1024.
  const char* text = std::getenv("UV_THREADPOOL_SIZE");
  if (!text) return 4;
  return std::clamp(std::atoi(text), 1, 1024);
}

std::string missing_cpu_features() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  std::string missing;
  const auto require = [&](bool present, const char* name) {
    if (!present) missing += missing.empty() ? name : std::string(", ") + name;
  };
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return "CPUID";
  const bool os_saves_registers = ecx & bit_OSXSAVE;
  bool ymm = false;
  if (os_saves_registers) {
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    ymm = (low & 6) == 6;  // XMM and YMM state: Intel SDM vol. 1, 13.3
  }
  require(ymm && (ecx & bit_AVX), "AVX");
  require(ecx & bit_FMA, "FMA");
  require(ecx & bit_F16C, "F16C");
  require(ecx & bit_POPCNT, "POPCNT");
  eax = ebx = ecx = edx = 0;
  __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
  require(ymm && (ebx & bit_AVX2), "AVX2");
  require(ebx & bit_BMI2, "BMI2");
  return missing;
#elif defined(_M_X64)
  return IsProcessorFeaturePresent(PF_AVX2_INSTRUCTIONS_AVAILABLE) ? "" : "AVX2";
#else
  return "";
#endif
}

}  // namespace inlay
