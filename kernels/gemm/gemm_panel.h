#pragma once

#include <cstdint>

#include <gpucnn/kernels/simd/vector_size.h>

namespace gpucnn::kernels::cpu {

/// Outputs that lie side by side in packed weights, for each term: two of the largest vectors.
inline constexpr std::int64_t kGemmPanel = 2 * kVector;

/// Panels of K outputs.
inline std::int64_t panels_of(std::int64_t K) { return (K + kGemmPanel - 1) / kGemmPanel; }

/// Terms that lie side by side in memory, for every output: so many floats from `offset` behind the output's first term on.
struct Run {
  std::int64_t offset, length;
};

}  // namespace gpucnn::kernels::cpu
