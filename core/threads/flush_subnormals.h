#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace gpucnn {

/// While one lives, this thread's arithmetic gives results below 2^-126 as 0 (flush to zero); operands count as they are. Such
/// results occur where gradients fade, as in the moments of weights at rest, and cost a hundred cycles each.
///
/// Only for sums of gradients and for updates whose weights do not show it. Never for the input of a ReLU, a maximum or a
/// comparison.
class FlushSubnormals {
 public:
#if defined(__SSE2__)
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kResults); }
  ~FlushSubnormals() { _mm_setcsr(before_); }
#else
  FlushSubnormals() = default;
  ~FlushSubnormals() = default;
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

#if defined(__SSE2__)
 private:
  static constexpr unsigned kResults = 0x8000;
  const unsigned before_;
#endif
};

/// While one lives, results below 2^-126 are kept.
class KeepSubnormals {
 public:
#if defined(__SSE2__)
  KeepSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ & ~0x8000U); }
  ~KeepSubnormals() { _mm_setcsr(before_); }
#else
  KeepSubnormals() = default;
  ~KeepSubnormals() = default;
#endif
  KeepSubnormals(const KeepSubnormals&) = delete;
  KeepSubnormals& operator=(const KeepSubnormals&) = delete;

#if defined(__SSE2__)
 private:
  const unsigned before_;
#endif
};

}  // namespace gpucnn
