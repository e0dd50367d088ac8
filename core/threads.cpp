#include <gpucnn/core/threads.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include <gpucnn/core/float_environment.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/core/thread_team.h>

namespace gpucnn {
namespace {

constexpr int kMostThreads = 1024;

/// Processors the container's quota allows, rounded up; a large number without a quota.
int quota() {
  std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re");
  if (!file) return kMostThreads;
  double allowed = 0, period = 0;
  const bool limited = std::fscanf(file, "%lf %lf", &allowed, &period) == 2 && allowed > 0 && period > 0;
  std::fclose(file);
  return limited ? static_cast<int>(std::ceil(allowed / period)) : kMostThreads;
}

std::atomic<int>& count() {
  // The C library counts the processors of this process's affinity, 0 where it does not know.
  static std::atomic<int> threads{
      std::clamp(std::min(static_cast<int>(std::thread::hardware_concurrency()), quota()), 1, kMostThreads)};
  return threads;
}

ThreadTeam& team() {
  // Never destroyed: tasks may come from the destructors of other statics, and a forked child has no workers to join.
  static ThreadTeam& shared = *new ThreadTeam;
  return shared;
}

}  // namespace

int num_threads() { return count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  if (n < 1 || n > kMostThreads) {
    throw std::invalid_argument(fmt::format("set_num_threads: expects 1 to {}, got {}", kMostThreads, n));
  }
  count().store(n, std::memory_order_relaxed);
  team().shrink(n);
}

void detail::parallel_tasks(std::int64_t tasks, int threads, TaskRef run) {
  const FloatEnvironment standard;
  team().run(tasks, threads, run);
}

}  // namespace gpucnn
