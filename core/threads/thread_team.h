#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/core/threads/preempted_thread.h>

namespace gpucnn {

/// The threads behind `parallel_for`. The caller works too, and waits only for threads that have begun a task. An idle thread spins
/// for a moment, since work comes in quick succession, then sleeps.
///
/// Where the processor is shared, the system preempts a thread amid a task for some milliseconds. Whoever waits for it stops
/// spinning, so that a core gets free. With `migrate` it also moves the preempted thread to its own core.
class ThreadTeam {
 public:
  ThreadTeam() = default;
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// Calls `run(task, thread)` for every task in [0, tasks) on up to `threads` threads, the caller, number 0, among them. Rethrows
  /// the first exception, after which no further task is begun. While another thread's call is under way, the caller does its work
  /// alone.
  void run(std::int64_t tasks, int threads, detail::TaskRef run);

  /// Ends the threads if there are more than `threads`, the caller's among them, and waits until they are gone; `run` makes new
  /// ones. Not from inside a task.
  void shrink(int threads);

  /// Ends the threads for good: from here on every call is the caller's alone, so that no thread outlives its code. Waits until
  /// they are gone, unless a call is under way, as when the process exits amid work.
  void close() noexcept;

  /// Whether a thread that waits moves the preempted thread that it waits for to its own core. At first it does not.
  void set_migrate(bool on) { migrate_.store(on, std::memory_order_relaxed); }
  bool migrate() const { return migrate_.load(std::memory_order_relaxed); }

 private:
  enum Phase : std::uint32_t { kIdle, kOffered, kBegun, kLookedAt, kMoved, kDone, kStop };

  /// What a thread and the caller tell each other, and the tasks that the thread takes first: always the same for a number of tasks
  /// and threads, so that it finds in its cache what it left there. All in one line of the cache, for a line takes a good part of a
  /// microsecond from one core to another; what it is moved by lies behind.
  struct alignas(64) Slot {
    std::atomic<std::uint32_t> phase{kIdle};
    int threads = 0;
    std::atomic<std::int64_t> next{0};
    std::int64_t last = 0;
    detail::TaskRef run;
    std::thread worker;      // slot 0 is the caller's, and has none
    PreemptedThread thread;  // who is at work from kBegun to kDone
    std::int64_t call = 0;   // the number of the call that it works for, in slot 0
  };

  /// A thread's time on a core when it was last looked at, and the call that it worked for.
  struct Look {
    std::chrono::nanoseconds ran{};
    std::int64_t call = -1;
  };

  void grow(int threads);
  void end_workers();
  void work(Slot& slot, Slot& caller, int thread);
  void take_tasks(int thread, int threads) noexcept;
  /// Ends what kBegun began.
  static void end_work(Slot& slot);
  /// Waits while the phase is `seen`: spinning, then asleep; at once asleep if who is at work in `busy`, if given, has no core.
  std::uint32_t wait_while(const Slot& slot, std::uint32_t seen, Slot* busy) const;
  /// Whether who is at work here has hardly run since `last`, which becomes this look; if so and `move`, moves it to this core.
  static bool is_preempted(Slot& busy, Look& last, bool move);

  std::mutex calls_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<bool> closed_{false}, migrate_{false};
  std::atomic<pid_t> process_{0};  // whose threads the workers are: a forked child has none
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

}  // namespace gpucnn
