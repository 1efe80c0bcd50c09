#ifdef __linux__
#include <doctest/doctest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/machine.h"

using namespace inlay;
namespace fs = std::filesystem;

namespace {

// What the kernel shows of control groups, in a folder of the test's own.
class Cgroups {
 public:
  explicit Cgroups(const std::string& membership)
      : root(fs::temp_directory_path() / ("inlay-cgroups-" + std::to_string(getpid()))) {
    fs::remove_all(root);
    write("membership", membership);
    files.cgroups = (root / "cgroup").string();
    files.membership = (root / "membership").string();
  }
  ~Cgroups() { fs::remove_all(root); }

  void set(const std::string& file, const std::string& value) { write("cgroup/" + file, value); }
  CoreCount cores() const { return usable_cores(files); }
  MemoryLimit memory() const { return usable_memory(files); }

 private:
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text << '\n';
  }
  fs::path root;
  MachineFiles files;
};

int32_t affinity() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}

}  // namespace

TEST_CASE("without a quota the affinity mask counts") {
  const Cgroups groups("0::/");
  CHECK(groups.cores().cores == affinity());
  CHECK(groups.cores().why == "affinity mask of " + std::to_string(affinity()) + " CPUs");
  CHECK(groups.memory().why == "physical memory");
}

TEST_CASE("cgroup v2: quotas are rounded up, never below one core, never above the mask") {
  constexpr int32_t all = 1 << 20;
  const std::pair<const char*, int32_t> quotas[] = {
      {"50000 100000", 1}, {"100000 100000", 1},  {"150000 100000", 2}, {"1000 100000", 1}, {"max 100000", all},
      {"99900000 100000", all}, {"garbage", all}, {"", all},            {"5 0", all},
  };
  for (const auto& [quota, cores] : quotas) {
    CAPTURE(quota);
    Cgroups groups("0::/app");
    groups.set("app/cpu.max", quota);
    CHECK(groups.cores().cores == std::min(cores, affinity()));
  }
  Cgroups half("0::/");
  half.set("cpu.max", "50000 100000");
  CHECK(half.cores().why == "cgroup quota of 0.50 CPUs");
}

TEST_CASE("cgroup v2: the least limit of all levels counts") {
  for (const auto* level : {"", "slice/", "slice/service/"}) {
    CAPTURE(level);
    Cgroups groups("0::/slice/service");
    for (const auto* any : {"", "slice/", "slice/service/"}) {
      groups.set(std::string(any) + "cpu.max", "max 100000");
      groups.set(std::string(any) + "memory.max", "max");
    }
    groups.set(std::string(level) + "cpu.max", "25000 100000");
    groups.set(std::string(level) + "memory.max", "67108864");
    CHECK(groups.cores().why == "cgroup quota of 0.25 CPUs");
    CHECK(groups.memory().bytes == 64 << 20);
    CHECK(groups.memory().why == "cgroup memory limit");
  }
}

TEST_CASE("in a container the host's path of the group may not exist; the mount's root counts") {
  Cgroups groups("0::/system.slice/docker-0123.scope");
  groups.set("cpu.max", "50000 100000");
  groups.set("memory.max", "536870912");
  CHECK(groups.cores().cores == 1);
  CHECK(groups.memory().bytes == 512 << 20);
}

TEST_CASE("cgroup v1: each controller has a hierarchy of its own") {
  Cgroups groups("12:cpuset:/elsewhere\n5:memory:/m\n4:cpu,cpuacct:/c\n1:name=systemd:/");
  groups.set("cpu/c/cpu.cfs_quota_us", "20000");
  groups.set("cpu/c/cpu.cfs_period_us", "100000");
  groups.set("cpu/elsewhere/cpu.cfs_quota_us", "10000");
  groups.set("cpu/elsewhere/cpu.cfs_period_us", "100000");
  groups.set("memory/m/memory.limit_in_bytes", "134217728");
  CHECK(groups.cores().why == "cgroup quota of 0.20 CPUs");
  CHECK(groups.memory().bytes == 128 << 20);
}

TEST_CASE("cgroup v1: -1 and the number near 2^63 mean no limit") {
  Cgroups groups("5:memory:/\n4:cpu,cpuacct:/");
  groups.set("cpu/cpu.cfs_quota_us", "-1");
  groups.set("cpu/cpu.cfs_period_us", "100000");
  groups.set("memory/memory.limit_in_bytes", "9223372036854771712");
  CHECK(groups.cores().cores == affinity());
  CHECK(groups.memory().why == "physical memory");
}

TEST_CASE("the size of libuv's pool is read as libuv reads it") {
  const char* set = std::getenv("UV_THREADPOOL_SIZE");
  const std::string before = set ? set : "";
  const std::pair<const char*, int32_t> sizes[] = {{"8", 8}, {"0", 1}, {"-3", 1}, {"99999", 1024}, {"many", 1}};
  for (const auto& [text, size] : sizes) {
    setenv("UV_THREADPOOL_SIZE", text, 1);
    CHECK(uv_pool_size() == size);
  }
  unsetenv("UV_THREADPOOL_SIZE");
  CHECK(uv_pool_size() == 4);
  if (set) setenv("UV_THREADPOOL_SIZE", before.c_str(), 1);
}
#endif
