#include <gpucnn/kernels/cuda/slice_sums.h>

#include <algorithm>

#include <gpucnn/kernels/cuda/slice_total.h>
#include <gpucnn/kernels/cuda/step_tail.h>

namespace gpucnn::kernels::cuda {
namespace {

/// What the slices' sums add up to: dweight, and behind it dbias.
__global__ void __launch_bounds__(kLines* kAdders) add_slices_kernel(const float* sums, int slices, SliceSums count,
                                                                     bool add_weight, bool add_bias, float* dweight, float* dbias) {
  const std::int64_t weights = count.weights, width = count.all;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kAdders; first < width; first += std::int64_t{gridDim.x} * kAdders) {
    total_of_slices(sums, slices, width, first, width, [=](std::int64_t e, double sum) {
      const bool to_weight = e < weights;
      put_sum(sum, to_weight ? add_weight : add_bias, to_weight ? dweight + e : dbias + (e - weights));
    });
  }
}

}  // namespace

std::int64_t min_slices(std::int64_t whole, std::int64_t max_parts, const SliceSums& count) {
  constexpr std::int64_t kMaxBytes = 64 << 20;
  return std::min((whole + max_parts - 1) / max_parts, std::max<std::int64_t>(1, kMaxBytes / (count.all * 4)));
}

void add_slices(const Tensor& sums, const SliceSums& count, Target dweight, Target dbias, bool may_wait, Stream& stream) {
  if (StepTail* const tail = may_wait ? StepTail::open() : nullptr) {
    return tail->leave({sums, count, dweight.gradient, dbias.gradient, dweight.accumulate, dbias.accumulate}, stream);
  }
  launch(stream, "add_slices", {(count.all + kAdders - 1) / kAdders, kLines * kAdders}, add_slices_kernel,
         sums.device_data<float>(), static_cast<int>(sums.dim(0)), count, dweight.accumulate, dbias.accumulate,
         dweight.gradient.device_data<float>(), count.all > count.weights ? dbias.gradient.device_data<float>() : nullptr);
}

}  // namespace gpucnn::kernels::cuda
