#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/metrics/argmax_warp.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRows = kThreads / kWarp;  // a row for each warp

/// counts[g] = how many of the rows kRows * g and following are right. One of `labels` and `probabilities` is null.
__global__ void __launch_bounds__(kThreads)
    group_kernel(const float* logits, const std::int32_t* labels, const float* probabilities, std::int64_t* counts, std::int64_t N,
                 std::int64_t C) {
  const std::int64_t groups = (N + kRows - 1) / kRows;
  for (std::int64_t g = blockIdx.x; g < groups; g += gridDim.x) {
    const std::int64_t n = g * kRows + threadIdx.x / kWarp;
    std::int64_t correct = 0;
    if (n < N) {
      const Largest largest = first_largest(logits + n * C, C);
      Largest expected{0, 0};
      if (probabilities) expected = first_largest(probabilities + n * C, C);
      if (labels) expected.index = labels[n];
      const bool comparable = !std::isnan(largest.value) && !std::isnan(expected.value);
      correct = threadIdx.x % kWarp == 0 && comparable && largest.index == expected.index;
    }
    const std::int64_t count = block_sum<kThreads>(correct);
    if (threadIdx.x == 0) counts[g] = count;
  }
}

__global__ void __launch_bounds__(kThreads) total_kernel(const std::int64_t* counts, std::int64_t groups, float* count) {
  std::int64_t total = 0;
  for (std::int64_t g = threadIdx.x; g < groups; g += kThreads) total += counts[g];
  total = block_sum<kThreads>(total);
  if (threadIdx.x == 0) *count = static_cast<float>(total);
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::count_correct(const Tensor& logits, const Tensor& labels, Tensor& count, Stream& stream) {
  const std::int64_t N = logits.dim(0), groups = (N + kRows - 1) / kRows;
  Tensor counts = Tensor::empty({groups}, DType::i64, stream.device());
  const bool probable = labels.dtype() == DType::f32;
  launch(stream, "count_correct", {groups, kThreads}, group_kernel, logits.device_data<float>(),
         probable ? nullptr : labels.device_data<std::int32_t>(), probable ? labels.device_data<float>() : nullptr,
         counts.device_data<std::int64_t>(), N, logits.dim(1));
  launch(stream, "count_correct", {1, kThreads}, total_kernel, counts.device_data<std::int64_t>(), groups,
         count.device_data<float>());
}

}  // namespace gpucnn::kernels
