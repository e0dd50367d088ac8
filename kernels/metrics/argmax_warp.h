#pragma once

#include <gpucnn/kernels/cuda/block_reduce.h>

#include <cmath>
#include <limits>

/// The largest element of one row, found by one warp. In .cu files only.
namespace gpucnn::kernels::cuda {

struct Largest {
  float value;
  std::int64_t index;
};

/// Whether `a` comes before `b`: NaN before numbers, larger ones before smaller ones, the first of equals.
__device__ inline bool before(const Largest& a, const Largest& b) {
  const bool nan = std::isnan(a.value);
  if (nan != std::isnan(b.value)) return nan;
  if (nan || a.value == b.value) return a.index < b.index;
  return a.value > b.value;
}

/// In every lane, what comes before all else in x[0] to x[C - 1]; C > 0.
__device__ inline Largest first_largest(const float* x, std::int64_t C) {
  Largest best{-std::numeric_limits<float>::infinity(), C};
  for (std::int64_t c = threadIdx.x % kWarp; c < C; c += kWarp) {
    if (const Largest next{x[c], c}; before(next, best)) best = next;
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Largest other{__shfl_xor_sync(kAllLanes, best.value, distance), __shfl_xor_sync(kAllLanes, best.index, distance)};
    if (before(other, best)) best = other;
  }
  return best;
}

}  // namespace gpucnn::kernels::cuda
