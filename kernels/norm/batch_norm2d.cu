#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/norm/statistics_formula.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    running_kernel(const float* mean, const float* var, std::int64_t C, double eps, float* statistics) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t c = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; c < C; c += stride) {
    put_statistics(mean[c], var[c], eps, C, c, statistics);
  }
}

/// By itself where all threads of `update_kernel` must see it counted.
__global__ void __launch_bounds__(1) count_kernel(std::int64_t* batches) {
  if (blockIdx.x == 0 && threadIdx.x == 0) ++*batches;
}

/// With a momentum, which does not read the count, it counts the batch too.
/// `counted`: null, or read instead of `values`.
__global__ void __launch_bounds__(kThreads)
    update_kernel(const float* statistics, std::int64_t C, std::int64_t values, const std::int64_t* counted, bool cumulative,
                  double momentum, std::int64_t* batches, float* mean, float* var) {
  const double factor = cumulative ? 1 / static_cast<double>(*batches) : momentum;
  if (!cumulative && blockIdx.x == 0 && threadIdx.x == 0) ++*batches;
  if (counted) values = *counted;
  if (values == 0) return;
  const double unbiased = unbiased_factor(values);
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t c = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; c < C; c += stride) {
    const double batch_var = unbiased * static_cast<double>(statistics[kVariance * C + c]);
    const double batch_mean = statistics[kMean * C + c];
    mean[c] = static_cast<float>((1 - factor) * static_cast<double>(mean[c]) + factor * batch_mean);
    var[c] = static_cast<float>((1 - factor) * static_cast<double>(var[c]) + factor * batch_var);
  }
}

}  // namespace

void batch_norm2d_statistics(const Tensor& running_mean, const Tensor& running_var, double eps, Tensor& statistics,
                             Stream& stream) {
  const std::int64_t C = running_mean.numel();
  launch(stream, "batch_norm2d_statistics", grid(stream, C), running_kernel, running_mean.device_data<float>(),
         running_var.device_data<float>(), C, eps, statistics.device_data<float>());
}

void batch_norm2d_update(const Tensor& statistics, std::int64_t values, const Tensor& counted, std::optional<double> momentum,
                         Tensor& running_mean, Tensor& running_var, Tensor& num_batches_tracked, Stream& stream) {
  auto* const batches = num_batches_tracked.device_data<std::int64_t>();
  const std::int64_t* const on_device = counted.defined() ? counted.device_data<std::int64_t>() : nullptr;
  const bool none = values == 0 && !on_device;
  if (!momentum || none) launch(stream, "batch_norm2d_update", {1, 1}, count_kernel, batches);
  if (none) return;
  const std::int64_t C = running_mean.numel();
  launch(stream, "batch_norm2d_update", grid(stream, C), update_kernel, statistics.device_data<float>(), C, values, on_device,
         !momentum, momentum.value_or(0), batches, running_mean.device_data<float>(), running_var.device_data<float>());
}

}  // namespace gpucnn::kernels::cuda
