#include <gpucnn/core/preempted_thread.h>

#include <ctime>

namespace gpucnn {
namespace {

bool cores_of(pthread_t thread, cpu_set_t& cores) { return pthread_getaffinity_np(thread, sizeof cores, &cores) == 0; }

bool confine(pthread_t thread, const cpu_set_t& cores) { return pthread_setaffinity_np(thread, sizeof cores, &cores) == 0; }

/// The calling thread's core; -1 if a cpu_set_t cannot name it.
int this_core() {
  const int core = sched_getcpu();
  return core < CPU_SETSIZE ? core : -1;
}

bool is_exact(clockid_t clock) {
  timespec step{};
  return clock_getres(clock, &step) == 0 && step.tv_sec == 0 && step.tv_nsec <= 1000;
}

/// Has `thread`, which may run on `cores`, go on on `core`, one of them. The system moves it as soon as it may run nowhere else,
/// and leaves it there when it may run everywhere again.
void migrate(pthread_t thread, const cpu_set_t& cores, int core) {
  if (CPU_COUNT(&cores) < 2) return;
  cpu_set_t only, now;
  CPU_ZERO(&only);
  CPU_SET(core, &only);
  if (!confine(thread, only)) return;
  const bool set_by_others = !cores_of(thread, now) || !CPU_EQUAL(&now, &only);
  if (!set_by_others) confine(thread, cores);
}

}  // namespace

std::chrono::nanoseconds PreemptedThread::cpu_time() const {
  static const bool exact = is_exact(CLOCK_THREAD_CPUTIME_ID);
  clockid_t clock{};
  timespec time{};
  if (!exact || pthread_getcpuclockid(thread_, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void PreemptedThread::bring_here() const {
  const int core = this_core();
  cpu_set_t cores;
  if (core >= 0 && cores_of(thread_, cores) && CPU_ISSET(core, &cores)) migrate(thread_, cores, core);
}

void PreemptedThread::leave_core() {
  const int core = this_core();
  cpu_set_t cores;
  if (core < 0 || !cores_of(pthread_self(), cores) || !CPU_ISSET(core, &cores) || CPU_COUNT(&cores) != 2) return;
  for (int other = 0; other < CPU_SETSIZE; ++other) {
    if (other != core && CPU_ISSET(other, &cores)) migrate(pthread_self(), cores, other);
  }
}

}  // namespace gpucnn
