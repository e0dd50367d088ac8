#include <gpucnn/core/running_thread.h>

#include <ctime>

namespace gpucnn {
namespace {

bool cores_of(pthread_t thread, cpu_set_t& cores) { return pthread_getaffinity_np(thread, sizeof cores, &cores) == 0; }

bool confine(pthread_t thread, const cpu_set_t& cores) { return pthread_setaffinity_np(thread, sizeof cores, &cores) == 0; }

}  // namespace

std::chrono::nanoseconds RunningThread::cpu_time() const {
  clockid_t clock{};
  timespec time{};
  if (pthread_getcpuclockid(thread_, &clock) == 0) clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

bool RunningThread::bring_here() {
  const int core = sched_getcpu();
  if (core < 0 || core >= CPU_SETSIZE || !cores_of(thread_, cores_) || !CPU_ISSET(core, &cores_)) return false;
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(core, &here);
  return confine(thread_, here);
}

void RunningThread::release() const { confine(thread_, cores_); }

void RunningThread::leave_core() {
  const int core = sched_getcpu();
  cpu_set_t cores;
  if (core < 0 || core >= CPU_SETSIZE || !cores_of(pthread_self(), cores)) return;
  cpu_set_t others = cores;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) > 0 && confine(pthread_self(), others)) confine(pthread_self(), cores);
}

}  // namespace gpucnn
