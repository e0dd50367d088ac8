#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <gpucnn/core/parallel.h>

namespace gpucnn {

/// The threads behind `parallel_for`. The caller works too, and waits only for threads that have begun a task: one that the system
/// has put aside, because the processor is shared, holds nobody up. An idle thread spins for a moment, since work comes in quick
/// succession, then sleeps.
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
  /// What the workers are called to.
  struct Job {
    const detail::TaskRef* run = nullptr;
    std::int64_t tasks = 0;
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr failure;
  };

  // The state is one word, so that a thread joins a job or learns that it is over in one step: how many have joined (lower half
  // but its top bit), whether the job is open to more, and above it a number that tells jobs apart.
  static constexpr std::uint64_t kOpen = std::uint64_t{1} << 31;
  static constexpr std::uint64_t kJoined = kOpen - 1;
  static constexpr std::uint64_t kNextJob = std::uint64_t{1} << 32;

  void grow(int workers);
  void end_workers();
  void work(int index);
  void take_tasks(int thread) noexcept;
  /// Joins the job of this state; false if it is closed, not for this worker, or the state has changed.
  bool join(std::uint64_t state, int index);
  /// Waits until the state is no longer `seen`: spinning, then asleep.
  void wait_while(std::uint64_t seen);

  std::mutex calls_;
  Job job_;
  std::atomic<std::uint64_t> state_{0};
  std::atomic<int> wanted_{0};  // workers the job is for
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
  pid_t process_ = 0;  // whose threads the workers are: a forked child has none
};

}  // namespace gpucnn
