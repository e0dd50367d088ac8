#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace gpucnn {

/// While one lives, this thread's arithmetic takes numbers below 1.2e-38, and gives them, as 0. They come up where gradients fade,
/// as the moments of weights that are at rest, and cost a hundred cycles each. Only for sums and updates, where they count for
/// nothing.
class FlushSubnormals {
 public:
#if defined(__SSE2__)
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kResultsAndOperands); }
  ~FlushSubnormals() { _mm_setcsr(before_); }
#else
  FlushSubnormals() = default;
  ~FlushSubnormals() = default;
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

#if defined(__SSE2__)
 private:
  static constexpr unsigned kResultsAndOperands = 0x8040;
  const unsigned before_;
#endif
};

}  // namespace gpucnn
