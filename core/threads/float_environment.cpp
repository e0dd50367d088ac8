#include <gpucnn/core/threads/float_environment.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace gpucnn {

#if defined(__x86_64__)

// Writing the register costs more than reading it, and as a rule there is nothing to write.

FloatEnvironment::FloatEnvironment() noexcept : before_(_mm_getcsr()) {
  constexpr unsigned kFlags = 0x3F, kDefault = 0x1F80;
  if ((before_ & ~kFlags) != kDefault) _mm_setcsr(kDefault);
}

FloatEnvironment::~FloatEnvironment() {
  if (_mm_getcsr() != before_) _mm_setcsr(before_);
}

#else

FloatEnvironment::FloatEnvironment() noexcept {
  std::fegetenv(&before_);
  std::fesetenv(FE_DFL_ENV);
}

FloatEnvironment::~FloatEnvironment() { std::fesetenv(&before_); }

#endif

}  // namespace gpucnn
