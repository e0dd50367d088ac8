#include <gpucnn/kernels/cuda/slice_sums.h>

#include <algorithm>

#include <gpucnn/kernels/cuda/block_reduce.h>

namespace gpucnn::kernels::cuda {
namespace {

// Of a block that adds slices: neighbours, for each of which it has kLines threads, and what each of these reads at once.
constexpr int kAdders = 8, kLines = 32, kAtOnce = 8;

/// What the slices' sums add up to: dweight, and behind it dbias.
__global__ void __launch_bounds__(kLines* kAdders) add_slices_kernel(const float* sums, int slices, SliceSums count,
                                                                     bool add_weight, bool add_bias, float* dweight, float* dbias) {
  GPUCNN_SHARED(double, lines, kLines* kAdders);
  const int column = static_cast<int>(threadIdx.x) % kAdders, line = static_cast<int>(threadIdx.x) / kAdders;
  const std::int64_t weights = count.weights, width = count.all;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kAdders; first < width; first += std::int64_t{gridDim.x} * kAdders) {
    const std::int64_t e = first + column;
    const auto element = [=](std::int64_t slice) { return sums[slice * width + e]; };
    double sum = e < width ? strided_sum<kAtOnce>(line, slices, kLines, element) : 0;
    lines[threadIdx.x] = sum;
    __syncthreads();
    if (line == 0 && e < width) {
      for (int i = 1; i < kLines; ++i) sum += lines[i * kAdders + column];
      const bool to_weight = e < weights;
      put_sum(sum, to_weight ? add_weight : add_bias, to_weight ? dweight + e : dbias + (e - weights));
    }
    __syncthreads();  // before the next columns are written
  }
}

}  // namespace

std::int64_t min_slices(std::int64_t whole, std::int64_t max_parts, const SliceSums& count) {
  constexpr std::int64_t kMaxBytes = 64 << 20;
  return std::min((whole + max_parts - 1) / max_parts, std::max<std::int64_t>(1, kMaxBytes / (count.all * 4)));
}

void add_slices(const Tensor& sums, const SliceSums& count, Target dweight, Target dbias, Stream& stream) {
  launch(stream, "add_slices", {(count.all + kAdders - 1) / kAdders, kLines * kAdders}, add_slices_kernel,
         sums.device_data<float>(), static_cast<int>(sums.dim(0)), count, dweight.accumulate, dbias.accumulate,
         dweight.gradient.device_data<float>(), count.all > count.weights ? dbias.gradient.device_data<float>() : nullptr);
}

}  // namespace gpucnn::kernels::cuda
