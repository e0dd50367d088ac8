#pragma once

#include <bit>
#include <cstdint>

#include <gpucnn/core/dtype.h>

namespace gpucnn {

/// Exact: the lower half of the float is zeros.
constexpr float to_float(bf16 value) noexcept { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }

/// The nearest bf16, of two equally near the even one, as IEEE rounds; what is too large becomes infinity, NaN stays NaN.
constexpr bf16 to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<std::uint16_t>(bits >> 16 | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16)};
}

}  // namespace gpucnn
