#pragma once

#include <cmath>
#include <cstdint>

#include <gpucnn/core/bf16.h>

#include "emulator/emulator.h"

/// What core/gpu/warp/packed_bf16.h is to nvcc.
namespace gpucnn::emulator {

inline constexpr std::uint32_t kNanBf16 = 0x7FFF;

/// Each half of the result from the same halves of a and b, as floats.
template <class Function>
std::uint32_t halves(std::uint32_t a, std::uint32_t b, const Function& function) {
  std::uint32_t both = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const auto half = [shift](std::uint32_t word) { return to_float(bf16{static_cast<std::uint16_t>(word >> shift)}); };
    both |= std::uint32_t{function(half(a), half(b))} << shift;
  }
  return both;
}

inline std::uint32_t rounded_to_bf16(float value) { return std::isnan(value) ? kNanBf16 : to_bf16(value).bits; }

}  // namespace gpucnn::emulator

namespace gpucnn::warp {

inline std::uint32_t pack_bf16(float first, float second) {
  emulator::require_capability_8("pack_bf16");
  return emulator::rounded_to_bf16(first) | emulator::rounded_to_bf16(second) << 16;
}

inline std::uint32_t max_bf16(std::uint32_t a, std::uint32_t b) {
  emulator::require_capability_8("max_bf16");
  return emulator::halves(a, b, [](float x, float y) {
    if (std::isnan(x) || std::isnan(y)) return emulator::kNanBf16;
    if (x == y) return emulator::rounded_to_bf16(std::signbit(x) ? y : x);
    return emulator::rounded_to_bf16(x > y ? x : y);
  });
}

inline std::uint32_t equal_bf16(std::uint32_t a, std::uint32_t b) {
  emulator::require_capability_8("equal_bf16");
  return emulator::halves(a, b, [](float x, float y) { return x == y ? 0xFFFFU : 0U; });
}

}  // namespace gpucnn::warp
