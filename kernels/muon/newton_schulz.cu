#include <gpucnn/kernels/muon/newton_schulz.h>

#include <algorithm>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/muon/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 4;
constexpr std::int64_t kMinSlice = kThreads * kAtOnce;

/// How elements are divided into slices, at most one for each thread of a block: by their number only.
struct Division {
  std::int64_t slice, slices;
};

Division divide(std::int64_t count) {
  const std::int64_t slice = std::max(kMinSlice, (count + kThreads - 1) / kThreads);
  return {slice, (count + slice - 1) / slice};
}

/// The sum of the squares of each slice.
__global__ void __launch_bounds__(kThreads) squares_kernel(const float* x, std::int64_t count, Division d, double* sums) {
  for (std::int64_t slice = blockIdx.x; slice < d.slices; slice += gridDim.x) {
    const std::int64_t first = slice * d.slice, end = first + d.slice < count ? first + d.slice : count;
    double sum = 0;
    for (std::int64_t i = first + threadIdx.x; i < end; i += kThreads) {
      const auto value = static_cast<double>(x[i]);
      sum += value * value;
    }
    sum = block_sum<kThreads>(sum);
    if (threadIdx.x == 0) sums[slice] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    scale_kernel(const float* x, std::int64_t count, const double* sums, std::int64_t slices, float eps, float* y) {
  GPUCNN_SHARED(float, divisor, 1);
  const double sum = block_sum<kThreads>(threadIdx.x < slices ? sums[threadIdx.x] : 0.0);
  if (threadIdx.x == 0) {
    const auto norm = static_cast<float>(sqrt(sum));
    divisor[0] = norm < eps ? eps : norm;
  }
  __syncthreads();
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * kThreads) {
    y[i] = x[i] / divisor[0];
  }
}

__global__ void __launch_bounds__(kThreads)
    polynomial_kernel(const float* gram, const float* square, std::int64_t S, float a, float b, float c, float* y) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < S * S; i += std::int64_t{gridDim.x} * kThreads) {
    y[i] = fmaf(c, square[i], fmaf(b, gram[i], i % (S + 1) == 0 ? a : 0.0F));
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::normalize_matrix(const Tensor& x, double eps, Tensor& y, Stream& stream) {
  const std::int64_t count = x.numel();
  const Division division = divide(count);
  Tensor memory = Tensor::empty({division.slices * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
  auto* sums = reinterpret_cast<double*>(memory.bytes());
  launch(stream, "normalize_matrix", {division.slices, kThreads}, squares_kernel, x.device_data<float>(), count, division, sums);
  launch(stream, "normalize_matrix", grid(stream, count), scale_kernel, x.device_data<float>(), count, sums, division.slices,
         static_cast<float>(eps), y.device_data<float>());
}

void cuda::newton_schulz_polynomial(const Tensor& gram, const Tensor& square, const std::array<double, 3>& coefficients, Tensor& y,
                                    Stream& stream) {
  const auto [a, b, c] = coefficients;
  launch(stream, "newton_schulz_polynomial", grid(stream, gram.numel()), polynomial_kernel, gram.device_data<float>(),
         square.device_data<float>(), gram.dim(0), static_cast<float>(a), static_cast<float>(b), static_cast<float>(c),
         y.device_data<float>());
}

}  // namespace gpucnn::kernels
