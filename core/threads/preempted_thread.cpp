#include <gpucnn/core/threads/preempted_thread.h>

#include <cstddef>
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

void leave_this_core(pthread_t thread) {
  const int core = this_core();
  cpu_set_t cores, mine, others, now;
  if (core < 0 || !cores_of(thread, cores) || !cores_of(pthread_self(), mine)) return;
  if (!CPU_EQUAL(&cores, &mine) || CPU_COUNT(&cores) < 2) return;
  others = cores;
  CPU_CLR(static_cast<std::size_t>(core), &others);
  if (!confine(thread, others)) return;
  if (cores_of(thread, now) && CPU_EQUAL(&now, &others)) confine(thread, cores);
  // If the application has set the affinity of all threads meanwhile, this one's tells.
  if (cores_of(pthread_self(), now) && !CPU_EQUAL(&now, &mine)) confine(thread, now);
}

std::chrono::nanoseconds PreemptedThread::cpu_time() const {
  static const bool exact = is_exact(CLOCK_THREAD_CPUTIME_ID);
  clockid_t clock{};
  timespec time{};
  if (!exact || pthread_getcpuclockid(thread_, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void PreemptedThread::bring_here() {
  brought_by_ = pthread_self();
  CPU_ZERO(&cores_);
  const int core = this_core();
  cpu_set_t cores, mine, only, now;
  if (core < 0 || !cores_of(thread_, cores) || !cores_of(brought_by_, mine)) return;
  if (!CPU_EQUAL(&cores, &mine) || !CPU_ISSET(core, &cores) || CPU_COUNT(&cores) < 2) return;
  CPU_ZERO(&only);
  CPU_SET(core, &only);
  if (!confine(thread_, only)) return;
  // The scheduler has moved it, and leaves it here when the affinity is reset.
  const bool set_by_others = !cores_of(thread_, now) || !CPU_EQUAL(&now, &only);
  if (!set_by_others && confine(thread_, cores)) cores_ = cores;
}

void PreemptedThread::settle() const {
  cpu_set_t mine, others;
  if (CPU_COUNT(&cores_) == 0 || !cores_of(brought_by_, others) || !cores_of(thread_, mine)) return;
  if (CPU_EQUAL(&mine, &cores_) && !CPU_EQUAL(&others, &cores_)) confine(thread_, others);
}

}  // namespace gpucnn
