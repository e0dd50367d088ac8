#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/core/threads/preempted_thread.h>

namespace gpucnn {

/// The threads behind `parallel_for`, with work stealing. The caller works too, and waits only for threads that have begun a task.
/// An idle thread spins for a moment, since work comes in quick succession, then sleeps.
///
/// On a shared processor a worker is preempted amid a task for some milliseconds. A thread that waits for it stops spinning, which
/// frees a core. With `migrate` the waiter also migrates the preempted worker to its own core.
class ThreadTeam {
 public:
  ThreadTeam() = default;
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// Calls `run(task, thread)` for every task in [0, tasks) on up to `threads` threads, the caller, number 0, among them. Rethrows
  /// the first exception, after which no further task is begun. While another thread's call is under way, the caller does its work
  /// alone. Threads for which such callers have left no core are not asked.
  void run(std::int64_t tasks, int threads, detail::TaskRef run);

  /// Between the two the calling thread's calls are its own alone, and a core is left to it, as to a caller that came second.
  /// `begin_alone` gives false, and is not to be ended, where the thread is inside a task.
  bool begin_alone() noexcept;
  void end_alone() noexcept;

  /// Ends the threads if there are more than `threads`, the caller's among them, and waits until they are gone; `run` makes new
  /// ones. Not from inside a task.
  void shrink(int threads);

  /// Ends the threads for good: from here on every call is the caller's alone, so that no thread outlives its code. Waits until
  /// they are gone, unless a call is under way, as when the process exits amid work.
  void close() noexcept;

  /// Whether a thread that waits moves the preempted thread that it waits for to its own core, and a caller moves a worker that
  /// does not begin from its own core. At first they do not.
  void set_migrate(bool on) { migrate_.store(on, std::memory_order_relaxed); }
  bool migrate() const { return migrate_.load(std::memory_order_relaxed); }

 private:
  enum Phase : std::uint32_t { kIdle, kOffered, kBegun, kLookedAt, kMoved, kDone, kStop };

  /// A worker's phase and the tasks that it takes first. These are the same in every call with as many tasks and threads, so that
  /// the worker finds their data in its cache. What the call needs is in one cache line, because a line takes a good part of a
  /// microsecond from core to core. What migration needs is behind it.
  struct alignas(64) Worker {
    std::atomic<std::uint32_t> phase{kIdle};
    int threads = 0;
    int callers_core = -1;
    std::atomic<std::int64_t> next{0};
    std::int64_t last = 0;
    detail::TaskRef run;
    std::thread thread;       // worker 0 is the caller, and has none
    PreemptedThread at_work;  // the thread that is at work from kBegun to kDone
    std::int64_t call = 0;    // the number of the call that it works for, in worker 0
    /// The end of the first of the last calls, all of which ended before it began. The caller's alone; empty: it has begun.
    std::optional<std::chrono::steady_clock::time_point> idle_since;
  };

  /// The last look at a thread: its CPU time, and the call that it worked for.
  struct Look {
    std::chrono::nanoseconds ran{};
    std::int64_t call = -1;
  };

  void grow(int threads);
  void end_workers();
  void work(Worker& worker, Worker& caller, int thread);
  void take_tasks(int thread, int threads) noexcept;
  /// After a call in which the worker did not begin: if that has lasted, and it may, migrates it away from the caller's core.
  void note_idle(Worker& worker) const;
  /// Leaves kBegun for kDone.
  static void end_work(Worker& worker);
  /// Waits while the phase is `seen`: spinning, then asleep. Sleeps at once if the thread at work in `busy`, if given, is
  /// preempted.
  std::uint32_t wait_while(const Worker& worker, std::uint32_t seen, Worker* busy) const;
  /// Whether the thread at work there has hardly run since `last`, which becomes this look. If so and `move`, migrates it to this
  /// core.
  static bool is_preempted(Worker& busy, Look& last, bool move);

  std::mutex calls_;
  std::atomic<int> alone_{0};  // callers that wanted threads, and work without
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> closed_{false}, migrate_{false};
  std::atomic<pid_t> process_{0};  // the process of the worker threads: a forked child has none
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

}  // namespace gpucnn
