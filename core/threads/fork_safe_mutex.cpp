#include <gpucnn/core/threads/fork_safe_mutex.h>

#include <pthread.h>

#include <atomic>

namespace gpucnn {
namespace {

std::atomic<ForkSafeMutex*> last{nullptr};
ForkSafeMutex* locked = nullptr;  // the last one that the fork under way took; guarded by the mutexes themselves

}  // namespace

ForkSafeMutex::ForkSafeMutex() : next_(last.load()) {
  static const int registered = pthread_atfork(&lock_all, &unlock_all, &unlock_all);
  static_cast<void>(registered);  // without memory for it a fork works as it would with a std::mutex
  while (!last.compare_exchange_weak(next_, this)) {
  }
}

void ForkSafeMutex::lock_all() {
  ForkSafeMutex* const newest = last.load();
  for (ForkSafeMutex* each = newest; each; each = each->next_) each->lock();
  locked = newest;
}

void ForkSafeMutex::unlock_all() noexcept {
  for (ForkSafeMutex* each = locked; each; each = each->next_) each->unlock();
}

}  // namespace gpucnn
