#pragma once

#include <cfenv>
#include <string>
#include <vector>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include <gtest/gtest.h>

namespace gpucnn {

/// What an application may have made of the floating-point environment of one of its threads.
struct CallersEnvironment {
  std::string name;
  int rounding = FE_TONEAREST;
  bool flushes = false;  // subnormal numbers, as a program that was linked with -ffast-math does
  bool traps = false;    // exceptions stop the program, but for those that any sum raises
};

inline std::vector<CallersEnvironment> callers_environments() {
  return {{.name = "default"},
          {.name = "upward", .rounding = FE_UPWARD},
          {.name = "downward", .rounding = FE_DOWNWARD},
          {.name = "toward zero", .rounding = FE_TOWARDZERO},
          {.name = "flushing", .flushes = true},
          {.name = "trapping", .traps = true},
          {.name = "all at once", .rounding = FE_UPWARD, .flushes = true, .traps = true}};
}

/// While one lives, the thread has such an environment; at the end it must be as it was set, with its flags.
class ForcedFloatEnvironment {
 public:
  explicit ForcedFloatEnvironment(const CallersEnvironment& environment) {
    std::feholdexcept(&before_);
#if defined(__GLIBC__)
    if (environment.traps) feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
#endif
    std::fesetround(environment.rounding);
#if defined(__SSE2__)
    if (environment.flushes) _mm_setcsr(_mm_getcsr() | kFlushes);
#endif
    set_ = now();
  }
  ~ForcedFloatEnvironment() {
    const std::vector<int> after = now();
    std::fesetenv(&before_);
    EXPECT_EQ(after, set_) << "rounding, flags, and where there are such: what traps, and MXCSR";
  }
  ForcedFloatEnvironment(const ForcedFloatEnvironment&) = delete;
  ForcedFloatEnvironment& operator=(const ForcedFloatEnvironment&) = delete;

 private:
  static std::vector<int> now() {
    std::vector<int> state = {std::fegetround(), std::fetestexcept(FE_ALL_EXCEPT)};
#if defined(__GLIBC__)
    state.push_back(fegetexcept());
#endif
#if defined(__SSE2__)
    state.push_back(static_cast<int>(_mm_getcsr()));
#endif
    return state;
  }

#if defined(__SSE2__)
  static constexpr unsigned kFlushes = 0x8040;
#endif
  std::fenv_t before_{};
  std::vector<int> set_;
};

}  // namespace gpucnn
