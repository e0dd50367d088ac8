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
  /// and then to what it was.
  void bring_here();

  /// For the thread that was brought, while the other one still waits. Whoever sets the affinity of all threads in just these
  /// microseconds has set the other one's too: it becomes this one's.
  void settle() const;

 private:
  pthread_t thread_{}, brought_by_{};
  cpu_set_t cores_{};  // where both might run when it was brought; none if it was not
};

}  // namespace gpucnn
