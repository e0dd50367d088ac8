#pragma once

#include <mutex>

namespace gpucnn {

/// A mutex that `fork` waits for, so that a forked child never finds it locked by a thread that the child does not have. For
/// objects that are never destroyed. Whoever holds one takes no other and does not fork.
class ForkSafeMutex {
 public:
  ForkSafeMutex();
  ForkSafeMutex(const ForkSafeMutex&) = delete;
  ForkSafeMutex& operator=(const ForkSafeMutex&) = delete;

  void lock() { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }
  bool try_lock() noexcept { return mutex_.try_lock(); }

 private:
  static void lock_all();
  static void unlock_all() noexcept;

  std::mutex mutex_;
  ForkSafeMutex* next_;  // the one made before
};

}  // namespace gpucnn
