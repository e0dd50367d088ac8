#pragma once

#include <bit>
#include <cstdint>

namespace gpucnn::kernels::cpu {

/// Whether none of `count` floats, `step` apart, is infinite or NaN.
inline bool all_finite(const float* values, std::int64_t count, std::int64_t step = 1) {
  constexpr std::uint32_t kExponent = 0x7F800000;  // all ones in infinities and NaN
  std::uint32_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    found |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(values[i * step]) & kExponent) == kExponent);
  }
  return found == 0;
}

}  // namespace gpucnn::kernels::cpu
