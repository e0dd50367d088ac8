#include <gpucnn/core/threads.h>

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>

#include <fmt/format.h>

#include <gpucnn/core/parallel.h>

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
  // OpenMP's own answer before anybody changed it: the affinity, or OMP_NUM_THREADS.
  static std::atomic<int> threads{std::clamp(std::min({omp_get_max_threads(), omp_get_num_procs(), quota()}), 1, kMostThreads)};
  return threads;
}

}  // namespace

int num_threads() { return count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  if (n < 1 || n > kMostThreads) {
    throw std::invalid_argument(fmt::format("set_num_threads: expects 1 to {}, got {}", kMostThreads, n));
  }
  count().store(n, std::memory_order_relaxed);
}

namespace detail {

void parallel_tasks(std::int64_t tasks, TaskRef run) {
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), tasks));
  if (threads <= 1 || omp_in_parallel()) {
    for (std::int64_t task = 0; task < tasks; ++task) run(task);
    return;
  }
  std::exception_ptr failure;
  std::atomic<bool> failed{false};
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t task = 0; task < tasks; ++task) {
    if (failed.load(std::memory_order_relaxed)) continue;
    try {
      run(task);
    } catch (...) {
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace detail

OneThread::OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }

OneThread::~OneThread() { omp_set_num_threads(before_); }

}  // namespace gpucnn
