#pragma once

#include <pthread.h>
#include <sched.h>

#include <chrono>

namespace gpucnn {

/// A thread as another one of its process sees it: whether it has a core, and giving it one. Whoever looks sees to it that the
/// thread lives meanwhile. What the system does not allow is left undone.
class PreemptedThread {
 public:
  /// Stands for the calling thread from here on.
  void become_this() { thread_ = pthread_self(); }

  /// The time that it has spent on a core, from some moment on; where the system does not tell it to the microsecond, as if it
  /// always ran.
  std::chrono::nanoseconds cpu_time() const;

  /// Migrates it to the core of the calling thread, which it gets when that one sleeps. Its affinity is set for a few microseconds
  /// and then what it was; a setting that somebody else makes meanwhile stays.
  void bring_here() const;

  /// Migrates the calling thread to the other core, if it may run on one other: of several the system finds an idle one as a
  /// thread wakes.
  static void leave_core();

 private:
  pthread_t thread_{};
};

}  // namespace gpucnn
