#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// From so many bytes on, a result is written past the caches. They would hardly keep it until it is read, and a cached store first
/// reads the line that it overwrites. Cores share a cache of some ten MiB at most, as a rule.
inline constexpr std::int64_t kMinStreamedBytes = std::int64_t{32} << 20;

/// Whether the `count` floats of y are, which is written in runs of `run` floats.
inline bool is_streamed(const float* y, std::int64_t count, std::int64_t run) {
  constexpr std::int64_t kLine = 64;  // bytes, as many as the widest vector has
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  return count * kFloat >= kMinStreamedBytes && run * kFloat % kLine == 0 && reinterpret_cast<std::uintptr_t>(y) % kLine == 0;
}

}  // namespace gpucnn::kernels::cpu
