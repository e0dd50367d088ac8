#pragma once

#include <pthread.h>
#include <sched.h>

#include <chrono>

namespace gpucnn {

/// Migrates a thread that lives, which may be the calling one, from the core of the calling thread to another, if both may run on
/// several. The affinity is set for a few microseconds and then reset.
void leave_this_core(pthread_t thread);

/// A thread that another one of its process waits for. It tells whether that thread runs, and migrates it. The waiter makes sure
/// that the thread lives meanwhile. What the system does not allow is left undone.
class PreemptedThread {
 public:
  /// Stands for the calling thread from here on.
  void become_this() { thread_ = pthread_self(); }

  /// The CPU time of the thread, from an arbitrary start. If the system does not tell it to the microsecond: the time of the clock,
  /// as if the thread always ran.
  std::chrono::nanoseconds cpu_time() const;

  /// Migrates it to the core of the calling thread, which then should sleep. Its affinity is set to that core for a few
  /// microseconds and then reset, so that the scheduler moves it.
  void bring_here();

  /// For the migrated thread, while the other one still waits. If the application has set the affinity of all threads in these
  /// microseconds, it has set the other one's too: that becomes this one's.
  void settle() const;

 private:
  pthread_t thread_{}, brought_by_{};
  cpu_set_t cores_{};  // the affinity of both before the migration; empty if it was not migrated
};

}  // namespace gpucnn
