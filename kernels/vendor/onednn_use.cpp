#include <gpucnn/kernels/vendor/onednn_use.h>

#include <cxxabi.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>

// The C library calls the handlers of the exit in the reverse order of their registration. oneDNN registers the destructor of what
// it keeps when it makes it. So our handler, which waits, is registered anew after each use that may have made something.
//
// That leaves the time in which oneDNN makes something, and its destructor stands in front of our handler. Before any handler the
// exit calls the destructors of its thread's locals: there the thread that has loaded this library, as a rule the main one, waits
// at a door until nobody makes anything.
namespace gpucnn::kernels::onednn {
namespace {

std::atomic<bool> closed{false};
std::atomic<int> uses{0};
thread_local int uses_of_this_thread = 0;

/// Each stands for a library that would own our handler: __cxa_finalize makes the C library forget the handlers of one.
char owners[2];
int owner = 0;  // the one whose handler is registered
std::atomic_flag registering;
thread_local bool forgets = false;

void close(void*) {
  if (forgets) return;  // __cxa_finalize calls what it forgets
  closed.store(true);
  // A use takes some milliseconds. Should one never end, the exit must.
  constexpr std::chrono::seconds kPatience{5};
  const auto start = std::chrono::steady_clock::now();
  while (uses.load() > uses_of_this_thread && std::chrono::steady_clock::now() - start < kPatience) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void forget_handler() noexcept {
  forgets = true;
  abi::__cxa_finalize(&owners[owner]);
  forgets = false;
}

/// Puts our handler in front of all that are registered.
void register_handler() noexcept {
  while (registering.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  if (!closed.load()) {
    abi::__cxa_atexit(close, nullptr, &owners[1 - owner]);
    forget_handler();
    owner = 1 - owner;
  }
  registering.clear(std::memory_order_release);
}

/// Open to those who make something, but for the thread that waits at it: for nobody, once that one has gone through. At the
/// thread's end a function of the C library waits at it, on memory that stays: so this code may be unloaded before.
class Door {
 public:
  Door() {
    loading_thread = true;
    const auto wait = reinterpret_cast<void (*)(void*)>(reinterpret_cast<void (*)()>(&pthread_rwlock_wrlock));
    abi::__cxa_thread_atexit(wait, lock_, lock_);
  }

  bool enter() noexcept {
    if (loading_thread || shut_.load(std::memory_order_relaxed)) return false;
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    const bool entered = pthread_rwlock_timedrdlock(lock_, &until) == 0;
    if (!entered) shut_.store(true, std::memory_order_relaxed);  // the loading thread has ended, and perhaps not the process
    return entered;
  }
  void leave() noexcept { pthread_rwlock_unlock(lock_); }

  /// In a forked child nobody is inside.
  void reset() noexcept { *lock_ = PTHREAD_RWLOCK_INITIALIZER; }

 private:
  static thread_local bool loading_thread;
  pthread_rwlock_t* const lock_ = new pthread_rwlock_t(PTHREAD_RWLOCK_INITIALIZER);
  std::atomic<bool> shut_{false};
};
thread_local bool Door::loading_thread = false;

Door door;

/// A forked child has only the thread that forked, which is in no use.
void begin_in_child() noexcept {
  uses.store(0);
  uses_of_this_thread = 0;
  registering.clear();
  door.reset();
}

struct Library {
  Library() { pthread_atfork(nullptr, nullptr, begin_in_child); }
  /// Before this code is unloaded the C library must forget the handler, and no use may register it again.
  ~Library() {
    closed.store(true);
    forget_handler();
  }
};
const Library kLibrary;

}  // namespace

Use::Use(bool makes) noexcept : makes_(makes) {
  if (closed.load()) return;
  if (makes_) {
    in_door_ = door.enter();
    register_handler();
  }
  ++uses_of_this_thread;
  uses.fetch_add(1);
  allowed_ = !closed.load();  // whoever closes later sees this use
  if (allowed_) return;
  uses.fetch_sub(1);
  --uses_of_this_thread;
  if (in_door_) door.leave();
}

Use::~Use() {
  if (!allowed_) return;
  if (makes_) register_handler();
  uses.fetch_sub(1);
  --uses_of_this_thread;
  if (in_door_) door.leave();
}

}  // namespace gpucnn::kernels::onednn
