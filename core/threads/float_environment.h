#pragma once

#if !defined(__x86_64__)
#include <cfenv>
#endif

namespace gpucnn {

/// While one lives, this thread computes in the default floating-point environment: round to nearest, subnormal numbers, no traps.
/// Then the thread's own environment is restored, with its exception flags as they were. So results depend neither on how a caller
/// rounds nor on which thread takes a task. Not inline: a compiler knows nothing of the environment, and might compute before it is
/// set.
class FloatEnvironment {
 public:
  FloatEnvironment() noexcept;
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
#if defined(__x86_64__)
  unsigned before_;  // MXCSR; the library computes nothing on the x87, which has a control word of its own
#else
  std::fenv_t before_;
#endif
};

}  // namespace gpucnn
