#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <gpucnn/core/export.h>
#include <gpucnn/core/threads/threads.h>

/// Work on the CPU's threads. This is the only door to them, and layers of one's own take it too. Nothing else in the library
/// starts a thread, but for the workers of a DataLoader that asks for some.
namespace gpucnn {

namespace detail {

/// A callable by reference: no copy, no allocation.
class TaskRef {
 public:
  TaskRef() = default;
  template <class F>
  TaskRef(F& f)                                                    // NOLINT: implicit
      : object_(const_cast<void*>(static_cast<const void*>(&f))),  // given back as F, const if it was
        call_([](void* object, std::int64_t task, int thread) {
          if constexpr (std::is_invocable_v<F&, std::int64_t, int>) {
            (*static_cast<F*>(object))(task, thread);
          } else {
            (*static_cast<F*>(object))(task);
          }
        }) {}
  void operator()(std::int64_t task, int thread) const { call_(object_, task, thread); }

 private:
  void* object_ = nullptr;
  void (*call_)(void*, std::int64_t, int) = nullptr;
};

GPUCNN_API void parallel_tasks(std::int64_t tasks, int threads, TaskRef run);

}  // namespace detail

/// Calls `run(task)` once for every task in [0, tasks), on up to `num_threads()` threads, and returns when all are done. Which
/// thread runs which task is unspecified: results must not depend on it. The first exception is rethrown here after the rest has
/// stopped. Inside a task, or with one task, everything runs on the calling thread. A lambda that captures values starts
/// sooner than one that captures references, because another core fetches each cache line that it reads.
template <class F>
void parallel_for(std::int64_t tasks, F&& run) {
  std::remove_reference_t<F>& task = run;
  detail::parallel_tasks(tasks, num_threads(), detail::TaskRef(task));
}

/// The same on up to `threads` threads, for tasks that want scratch memory. Calls `run(task, thread)` with the thread's number in
/// [0, threads), which no other thread has at that time.
template <class F>
void parallel_for(std::int64_t tasks, int threads, F&& run) {
  std::remove_reference_t<F>& task = run;
  detail::parallel_tasks(tasks, threads, detail::TaskRef(task));
}

/// Splits [0, count) into tasks of `grain` elements (the last may be shorter) and calls `run(first, last)` for each. The split
/// depends on `count` and `grain` only, never on the number of threads.
template <class F>
void parallel_ranges(std::int64_t count, std::int64_t grain, F&& run) {
  parallel_for((count + grain - 1) / grain, [count, grain, &run](std::int64_t task) {
    const std::int64_t first = task * grain;
    run(first, first + grain < count ? first + grain : count);
  });
}

}  // namespace gpucnn
