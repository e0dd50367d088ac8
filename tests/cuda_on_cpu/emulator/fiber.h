#pragma once

#include <cstddef>

/// Threads of execution that are switched by hand. The file that switches must not be compiled for ThreadSanitizer, which would
/// lose its place on the stack; GPUCNN_FIBERS_TELL_TSAN=1 says that the rest of the program is.
namespace gpucnn::emulator {

#if defined(__SANITIZE_ADDRESS__)
#define GPUCNN_FIBERS_TELL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GPUCNN_FIBERS_TELL_ASAN 1
#endif
#endif

#if defined(GPUCNN_FIBERS_TELL_ASAN)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(GPUCNN_FIBERS_TELL_TSAN)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

class Fiber {
 public:
  /// Stands for the stack that the caller runs on.
  Fiber() = default;
  /// Will call `entry(argument)`, which must not return.
  Fiber(void (*entry)(void*), void* argument);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves the fiber that is running, this one, for another; returns when somebody switches back. For ThreadSanitizer this is no
  /// synchronisation.
  void switch_to(Fiber& next);

  /// For a fiber made by the default constructor: that it is the calling thread's stack now.
  void adopt_caller();

  /// Is told to ThreadSanitizer: what this fiber did so far happens before what others do after they acquired the same object.
  void tell_release(void* object, Fiber& running);
  static void release(void* object);
  static void acquire(void* object);

 private:
  [[noreturn]] static void start();

  void* stack_pointer_ = nullptr;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  const void* stack_ = nullptr;  // the lowest address and the size, for AddressSanitizer
  std::size_t stack_bytes_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;  // of AddressSanitizer
  [[maybe_unused]] void* tsan_fiber_ = nullptr;
};

}  // namespace gpucnn::emulator
