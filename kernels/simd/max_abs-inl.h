// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_MAX_ABS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_MAX_ABS_INL_H
#undef GPUCNN_KERNELS_MAX_ABS_INL_H
#else
#define GPUCNN_KERNELS_MAX_ABS_INL_H
#endif

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include <gpucnn/kernels/simd/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// The largest magnitude among `count` floats; infinity or NaN if there is one.
inline float max_abs(const float* from, std::int64_t count) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> bits;  // magnitudes are in the order of their bits
  const auto magnitude = [=](std::int64_t i)
                             HWY_ATTR { return hn::And(hn::Set(bits, 0x7FFFFFFF), hn::BitCast(bits, hn::LoadU(d, from + i))); };
  auto even = hn::Zero(bits), odd = hn::Zero(bits);
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    even = hn::Max(even, magnitude(i));
    odd = hn::Max(odd, magnitude(i + kLanes));
  }
  if (i + kLanes <= count) even = hn::Max(even, magnitude(std::exchange(i, i + kLanes)));
  std::int32_t result = hn::GetLane(hn::MaxOfLanes(bits, hn::Max(even, odd)));
  for (; i < count; ++i) result = std::max(result, std::bit_cast<std::int32_t>(from[i]) & 0x7FFFFFFF);
  return std::bit_cast<float>(result);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
