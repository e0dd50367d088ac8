#pragma once

#include <gpucnn/kernels/cuda/block_reduce.h>

/// Sums of floats that keep what rounding takes away, without the doubles that many GPUs are slow at. In .cu files only.
namespace gpucnn::kernels::cuda {

/// high + low, of which `high` is the rounded sum.
struct Compensated {
  float high = 0, low = 0;

  __device__ float value() const { return high + low; }
};

/// a + b exactly: Knuth's TwoSum, "The Art of Computer Programming" 4.2.2. NaN where either is infinite.
__device__ inline Compensated two_sum(float a, float b) {
  const float sum = a + b, b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

__device__ inline Compensated operator+(const Compensated& sum, float value) {
  const Compensated next = two_sum(sum.high, value);
  return {next.high, sum.low + next.low};
}
/// The same bits in either order.
__device__ inline Compensated operator+(const Compensated& a, const Compensated& b) {
  const Compensated sum = two_sum(a.high, b.high);
  return {sum.high, (a.low + b.low) + sum.low};
}

/// In every lane the sum over its group of `kLanes` lanes side by side. All lanes of the warp call it.
template <int kLanes>
__device__ Compensated group_sum(Compensated sum) {
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    const float high = __shfl_xor_sync(kAllLanes, sum.high, distance), low = __shfl_xor_sync(kAllLanes, sum.low, distance);
    sum = sum + Compensated{high, low};
  }
  return sum;
}

}  // namespace gpucnn::kernels::cuda
