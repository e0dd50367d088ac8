#include <gpucnn/core/threads/threads.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <new>
#include <stdexcept>
#include <thread>

#include <gpucnn/core/host/processors.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/core/threads/thread_team.h>
#include <gpucnn/core/threads/works_alone.h>

namespace gpucnn {
namespace {

constexpr int kMaxThreads = 1024;

int usable_processors() {
  const int affinity = affinity_processors(), quota = quota_processors();
  const int processors = affinity > 0 ? affinity : static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(quota > 0 ? std::min(processors, quota) : processors, 1, kMaxThreads);
}

std::atomic<int>& count() {
  static std::atomic<int> threads{usable_processors()};
  return threads;
}

ThreadTeam& team() {
  // Never destroyed: tasks may come from the destructors of other statics, and a forked child has no workers to join.
  alignas(ThreadTeam) static std::byte memory[sizeof(ThreadTeam)];
  static ThreadTeam& shared = *new (memory) ThreadTeam;
  return shared;
}

/// What the library leaves when the process ends or its code is unloaded: no thread, and no memory that is kept for later.
struct Unload {
  ~Unload() {
    team().close();
    empty_cache(Device::cpu());
  }
};
Unload unload;

}  // namespace

int num_threads() { return count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  if (n < 1 || n > kMaxThreads) {
    throw std::invalid_argument(formatted("set_num_threads: expects 1 to {}, got {}", kMaxThreads, n));
  }
  count().store(n, std::memory_order_relaxed);
  team().shrink(n);
}

bool core_migration() { return team().migrate(); }

void set_core_migration(bool on) { team().set_migrate(on); }

WorksAlone::WorksAlone() noexcept : counted_(team().begin_alone()) {}

WorksAlone::~WorksAlone() {
  if (counted_) team().end_alone();
}

void detail::parallel_tasks(std::int64_t tasks, int threads, TaskRef run) {
  const FloatEnvironment standard;
  team().run(tasks, threads, run);
}

}  // namespace gpucnn
