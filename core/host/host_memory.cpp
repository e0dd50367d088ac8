#include <gpucnn/core/host/host_memory.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <gpucnn/core/error.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn::host_memory {
namespace {

constexpr std::size_t kAlignment = 64;                   // a cache line, and the widest vector
constexpr std::size_t kHugePage = std::size_t{2} << 20;  // fewer page faults and TLB misses from here on
constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

std::size_t alignment_for(std::size_t bytes) { return bytes >= kHugePage ? kHugePage : kAlignment; }

/// The number in the one-line file `path`, or `kUnknown`.
std::uint64_t read_number(const char* path) noexcept {
  std::FILE* file = std::fopen(path, "re");
  if (!file) return kUnknown;
  unsigned long long value = 0;
  const bool found = std::fscanf(file, "%llu", &value) == 1;
  std::fclose(file);
  return found ? value : kUnknown;
}

std::uint64_t available_in_machine() noexcept {
  std::FILE* file = std::fopen("/proc/meminfo", "re");
  if (!file) return kUnknown;
  char line[128];
  unsigned long long kibibytes = 0;
  bool found = false;
  while (!found && std::fgets(line, sizeof line, file)) found = std::sscanf(line, "MemAvailable: %llu", &kibibytes) == 1;
  std::fclose(file);
  return found ? kibibytes * 1024 : kUnknown;
}

std::uint64_t available_in_group() noexcept {
  const std::uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const std::uint64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  return limit > used ? limit - used : 0;
}

/// What `ulimit -v` leaves.
std::uint64_t available_in_address_space() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnknown;
  const std::uint64_t pages = read_number("/proc/self/statm");
  if (pages == kUnknown) return kUnknown;
  const std::uint64_t used = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

void* allocate(std::size_t bytes) noexcept {
  const std::size_t alignment = alignment_for(bytes);
  if (bytes > std::numeric_limits<std::size_t>::max() - alignment) return nullptr;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
#ifdef MADV_HUGEPAGE  // Linux only; elsewhere the pages stay small
  if (memory && alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return memory;
}

void release(void* memory, std::size_t) noexcept { std::free(memory); }

std::uint64_t free_bytes() noexcept {
  return std::min({available_in_machine(), available_in_group(), available_in_address_space()});
}

void fail(std::uint64_t bytes) {
  const AllocatorStats stats = allocator_stats(Device::cpu());
  throw OutOfMemory(Device::cpu().string(), bytes, free_bytes(), stats.in_use + stats.kept);
}

void add(float* sum, const float* more, std::int64_t count) noexcept {
  const FloatEnvironment standard;
  for (std::int64_t i = 0; i < count; ++i) sum[i] += more[i];
}

}  // namespace gpucnn::host_memory
