#pragma once

#include <cstdint>

#include <gpucnn/kernels/cuda/block_reduce.h>

/// How a block adds slices: see slice_sums.h. In .cu files only.
namespace gpucnn::kernels::cuda {

/// Of a block: neighbouring elements that it adds at once, for each of which it has kLines threads.
inline constexpr int kAdders = 8, kLines = 32;

/// Calls `put(e, sum)` in one thread for each element [first, first + kAdders) below `end`: sum = sums[e] + sums[width + e] + ...
/// over `slices` rows. A block of kAdders * kLines threads, which all call it.
template <class Put>
__device__ void total_of_slices(const float* sums, int slices, std::int64_t width, std::int64_t first, std::int64_t end,
                                const Put& put) {
  constexpr int kAtOnce = 8;
  GPUCNN_SHARED(double, lines, kLines* kAdders);
  const int column = static_cast<int>(threadIdx.x) % kAdders, line = static_cast<int>(threadIdx.x) / kAdders;
  const std::int64_t e = first + column;
  double sum =
      e < end ? strided_sum<kAtOnce>(line, slices, kLines, [=](std::int64_t slice) { return sums[slice * width + e]; }) : 0;
  lines[threadIdx.x] = sum;
  __syncthreads();
  if (line == 0 && e < end) {
    for (int i = 1; i < kLines; ++i) sum += lines[i * kAdders + column];
    put(e, sum);
  }
  __syncthreads();  // before the next columns are written
}

/// The same sum of one element by one thread, for at most kLines slices: each line has one.
__device__ inline double total_of_few_slices(const float* sums, int slices, std::int64_t width, std::int64_t e) {
  double sum = 0;
  for (int slice = 0; slice < slices; ++slice) sum += static_cast<double>(sums[slice * width + e]);
  return sum;
}

}  // namespace gpucnn::kernels::cuda
