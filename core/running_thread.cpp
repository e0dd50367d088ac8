#include <gpucnn/core/running_thread.h>

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

}  // namespace

std::chrono::nanoseconds RunningThread::cpu_time() const {
  static const bool exact = is_exact(CLOCK_THREAD_CPUTIME_ID);
  clockid_t clock{};
  timespec time{};
  if (!exact || pthread_getcpuclockid(thread_, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool RunningThread::bring_here() {
  const int core = this_core();
  if (core < 0 || !cores_of(thread_, cores_) || !CPU_ISSET(core, &cores_)) return false;
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(core, &here);
  return confine(thread_, here);
}

void RunningThread::release() const {
  cpu_set_t now;
  const bool still_confined = cores_of(pthread_self(), now) && CPU_COUNT(&now) == 1;  // nobody else has set it since
  if (still_confined) confine(pthread_self(), cores_);
}

void RunningThread::leave_core() {
  const int core = this_core();
  cpu_set_t cores;
  if (core < 0 || !cores_of(pthread_self(), cores)) return;
  cpu_set_t others = cores;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) == 1 && confine(pthread_self(), others)) confine(pthread_self(), cores);
}

}  // namespace gpucnn
