#pragma once

#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/vector_access.h>

#include <cmath>
#include <limits>

/// One row of softmax for one warp: the twin of softmax_row.h. In .cu files only.
namespace gpucnn::kernels::cuda {

/// The larger of two; NaN if either is.
__device__ inline float larger(float a, float b) { return a > b || std::isnan(a) ? a : b; }

/// Of one row, in every lane: the largest x, and the sum of exp(x[c] - largest); the sum is NaN where softmax is.
struct WarpRow {
  double largest;
  double sum;
};

/// Computes it, and writes exp(x[c] - largest) to e[c]. e may be x, or null. In double: the rounding of x - largest in f32 would
/// show in the exponential. A lane reads from e what it wrote itself.
template <class T>
__device__ WarpRow softmax_row(const T* x, float* e, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float top = -std::numeric_limits<float>::infinity();
  for (std::int64_t c = lane; c < C; c += kWarp) top = larger(top, widen(x[c]));
  for (int distance = kWarp / 2; distance > 0; distance /= 2) top = larger(top, __shfl_xor_sync(kAllLanes, top, distance));
  const auto largest = static_cast<double>(top);
  double sum = 0;
  for (std::int64_t c = lane; c < C; c += kWarp) {
    const double value = exp(static_cast<double>(widen(x[c])) - largest);
    sum += value;
    if (e) e[c] = static_cast<float>(value);
  }
  sum = warp_sum(sum);
  return {largest, std::isfinite(top) ? sum : std::numeric_limits<double>::quiet_NaN()};
}

}  // namespace gpucnn::kernels::cuda
