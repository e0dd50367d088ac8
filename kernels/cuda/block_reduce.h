#pragma once

#include <gpucnn/core/gpu/launch.h>

/// Sums over the threads of a warp or a block, always added in the same order. In .cu files only.
namespace gpucnn::kernels::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFF;

/// The sum of get(i) for i = first, first + stride, ... below `end`, added in this order; `kAtOnce` of them are read at once.
template <int kAtOnce, class Get>
__device__ double strided_sum(std::int64_t first, std::int64_t end, std::int64_t stride, const Get& get) {
  double sum = 0;
  for (std::int64_t i = first; i < end; i += kAtOnce * stride) {
    float values[kAtOnce];
    for (int k = 0; k < kAtOnce; ++k) values[k] = i + k * stride < end ? get(i + k * stride) : 0.0F;
    for (int k = 0; k < kAtOnce; ++k) sum += static_cast<double>(values[k]);
  }
  return sum;
}

/// *to = sum, or added to what is there: rounded before, as it is where it is written.
__device__ inline void put_sum(double sum, bool accumulate, float* to) {
  const auto value = static_cast<float>(sum);
  *to = accumulate ? *to + value : value;
}

/// In every lane the sum over the warp.
template <class T>
__device__ T warp_sum(T value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

/// In thread 0 the sum over a block of `kThreads`, which all call it; elsewhere 0.
template <int kThreads, class T>
__device__ T block_sum(T value) {
  constexpr int kWarps = kThreads / kWarp;
  static_assert(kThreads % kWarp == 0);
  GPUCNN_SHARED(T, sums, kWarps);
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  T total{};
  if (threadIdx.x == 0) {
    for (int w = 0; w < kWarps; ++w) total += sums[w];
  }
  __syncthreads();  // before the next call writes
  return total;
}

}  // namespace gpucnn::kernels::cuda
