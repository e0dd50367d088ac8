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

#include <gpucnn/core/parallel.h>
#include <gpucnn/core/running_thread.h>

namespace gpucnn {

/// The threads behind `parallel_for`. The caller works too, and waits only for threads that have begun a task. Where the processor
/// is shared, the system puts a thread aside amid a task for some milliseconds, which the others would spend waiting: whoever waits
/// for such a thread gives it the core that it waits on. An idle thread spins for a moment, since work comes in quick succession,
/// then sleeps.
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

 private:
  enum Phase : std::uint32_t { kIdle, kOffered, kBegun, kMoving, kMoved, kDone, kStop };

  /// What a thread and the caller tell each other, and the tasks that the thread takes first: always the same for a number of tasks
  /// and threads, so that it finds in its cache what it left there. All in one line of the cache, for a line takes a good part of a
  /// microsecond from one core to another; what it is moved by lies behind.
  struct alignas(64) Slot {
    std::atomic<std::uint32_t> phase{kIdle};
    int threads = 0;
    std::atomic<std::int64_t> next{0};
    std::int64_t last = 0;
    detail::TaskRef run;
    std::thread worker;     // slot 0 is the caller's, and has none
    RunningThread thread;   // who is at work from kBegun to kDone
    std::int64_t call = 0;  // the number of the call that it works for, in slot 0
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
  /// Ends what kBegun began. True if the thread was moved amid it.
  static bool end_work(Slot& slot);
  /// Waits while the phase is `seen`: spinning, then asleep. While it spins, who is at work in `busy`, if given, gets this core if
  /// it has none.
  static std::uint32_t wait_while(const Slot& slot, std::uint32_t seen, Slot* busy);
  /// Moves who is at work here if it has hardly run since `last`, which becomes this look.
  static bool give_core_to(Slot& busy, Look& last);

  std::mutex calls_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<pid_t> process_{0};  // whose threads the workers are: a forked child has none
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

}  // namespace gpucnn
