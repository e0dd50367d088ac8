#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/norm/statistics_formula.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    part_sums_kernel(const float* own, std::int64_t values, const float* centers, std::int64_t C, double* sums) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t c = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; c < C; c += stride) {
    put_part_sums(own, values, centers, C, c, sums);
  }
}

__global__ void __launch_bounds__(kThreads) whole_statistics_kernel(const double* sums, const float* centers, double eps,
                                                                    std::int64_t C, float* statistics, std::int64_t* values) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads, first = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (first == 0) *values = static_cast<std::int64_t>(sums[0]);
  if (sums[0] == 0) return;
  for (std::int64_t c = first; c < C; c += stride) put_whole_statistics(sums, centers, eps, C, c, statistics);
}

const float* centers_of(const Tensor& center) { return center.defined() ? center.device_data<float>() : nullptr; }

}  // namespace

void part_sums(const Tensor& own, std::int64_t values, const Tensor& center, double* sums, Stream& stream) {
  const std::int64_t C = own.dim(1);
  launch(stream, "part_sums", grid(stream, C), part_sums_kernel, own.device_data<float>(), values, centers_of(center), C, sums);
}

void whole_statistics(const double* sums, const Tensor& center, double eps, Tensor& statistics, Tensor& values, Stream& stream) {
  const std::int64_t C = statistics.dim(1);
  launch(stream, "whole_statistics", grid(stream, C), whole_statistics_kernel, sums, centers_of(center), eps, C,
         statistics.device_data<float>(), values.device_data<std::int64_t>());
}

}  // namespace gpucnn::kernels::cuda
