#pragma once

#include <cstdint>

namespace gpucnn::kernels {

/// How many windows of `window` >= 1 elements lie in `size` elements with `padding` more at both ends together, a `stride` >= 1
/// apart: 0 if none fits. Unsigned, so that no size overflows: a Shape refuses what 63 bits do not count.
constexpr std::uint64_t window_count(std::int64_t size, std::int64_t window, int stride, std::int64_t padding) noexcept {
  const std::uint64_t padded = static_cast<std::uint64_t>(size) + static_cast<std::uint64_t>(padding);
  const auto covered = static_cast<std::uint64_t>(window);
  return padded < covered ? 0 : (padded - covered) / static_cast<std::uint64_t>(stride) + 1;
}

}  // namespace gpucnn::kernels
