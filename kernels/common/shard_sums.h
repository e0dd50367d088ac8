#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>

// How the CPU's gradients of weights come from those of shards.
namespace gpucnn::kernels::cpu {

/// Blocks of a known size: only those become vectors at -O2.
inline constexpr std::int64_t kAddedBlock = 64;

inline void add_block(const float* __restrict from, float* __restrict to) {
  for (std::int64_t i = 0; i < kAddedBlock; ++i) to[i] += from[i];
}

inline void add(const float* from, std::int64_t count, float* to) {
  std::int64_t i = 0;
  for (; i + kAddedBlock <= count; i += kAddedBlock) add_block(from + i, to + i);
  for (; i < count; ++i) to[i] += from[i];
}

/// Adds rows 1, 2, … of `sums`, [shards, count], to row 0, in this order.
inline void add_shards(Tensor& sums) {
  constexpr std::int64_t kGrain = 2048;
  const std::int64_t rows = sums.dim(0), row = sums.dim(1);
  float* const sum = sums.data<float>();
  parallel_ranges(row, kGrain, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = 1; r < rows; ++r) add(sum + r * row + first, last - first, sum + first);
  });
}

/// Writes a sum to a gradient, or adds it.
inline void finish(const float* from, std::int64_t count, bool accumulate, float* to) {
  if (accumulate) return add(from, count, to);
  std::copy_n(from, count, to);
}

}  // namespace gpucnn::kernels::cpu
