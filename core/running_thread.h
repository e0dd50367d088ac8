#pragma once

#include <pthread.h>
#include <sched.h>

#include <chrono>

namespace gpucnn {

/// A thread as another one of its process sees it: whether it has a core, and giving it one. Whoever looks sees to it that the
/// thread lives meanwhile. What the system does not allow is left undone.
class RunningThread {
 public:
  /// Stands for the calling thread from here on.
  void become_this() { thread_ = pthread_self(); }

  /// The time that it has spent on a core, from some moment on; where the system does not tell it to the microsecond, as if it
  /// always ran.
  std::chrono::nanoseconds cpu_time() const;

  /// Puts it on the core of the calling thread, which it gets when that one sleeps, until it calls `release`. False if it may not
  /// run there.
  bool bring_here();

  /// For the thread that was brought: it may run where it might before, unless somebody has said otherwise meanwhile.
  void release() const;

  /// Has the calling thread go on on the other core, if it may run on one other: of several the system finds an idle one as a
  /// thread wakes.
  static void leave_core();

 private:
  pthread_t thread_{};
  cpu_set_t cores_{};  // where it might run before it was brought
};

}  // namespace gpucnn
