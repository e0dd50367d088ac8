#include <algorithm>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/clip/norm_formula.h>
#include <gpucnn/kernels/clip/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;
constexpr std::int64_t kMaxBlocks = 512;  // for every GPU, so that all add in one order

/// In thread 0 what the block's threads have, joined in a fixed order. Once in a kernel.
template <class Norm>
__device__ double block_total(const Norm& norm, double value) {
  GPUCNN_SHARED(double, parts, kThreads);
  const int thread = static_cast<int>(threadIdx.x);
  parts[thread] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) parts[thread] = norm.join(parts[thread], parts[thread + half]);
    __syncthreads();
  }
  return parts[0];
}

/// What each block comes to: the norm itself if there is one block, else totals[block].
template <class Norm>
__global__ void __launch_bounds__(kThreads)
    norm_kernel(Norm norm, const float* x, std::int64_t count, bool wide, double* totals, float* result) {
  double sum = 0;
  for_elements<kAtOnce>(
      count, wide, [=](auto width, std::int64_t i) { return load<width>(x + i); },
      [&]<int kWidth>(std::int64_t, Lanes<float, kWidth> lanes) {
        for (int k = 0; k < kWidth; ++k) sum = norm.join(sum, norm.term(static_cast<double>(lanes.at[k])));
      });
  sum = block_total(norm, sum);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    *result = static_cast<float>(norm.root(sum));
  } else {
    totals[blockIdx.x] = sum;
  }
}

template <class Norm>
__global__ void __launch_bounds__(kThreads)
    norm_of_totals_kernel(Norm norm, const double* totals, std::int64_t blocks, float* result) {
  double sum = 0;
  for (std::int64_t b = threadIdx.x; b < blocks; b += kThreads) sum = norm.join(sum, totals[b]);
  sum = block_total(norm, sum);
  if (threadIdx.x == 0) *result = static_cast<float>(norm.root(sum));
}

__global__ void __launch_bounds__(kThreads)
    clip_by_norm_kernel(const float* total_norm, float max_norm, float* gradient, std::int64_t count, bool wide) {
  const float coefficient = clip_coefficient(*total_norm, max_norm);
  if (coefficient == 1) return;
  for_elements<kAtOnce>(
      count, wide, [=](auto width, std::int64_t i) { return load<width>(gradient + i); },
      [=]<int kWidth>(std::int64_t i, Lanes<float, kWidth> lanes) {
        for (int k = 0; k < kWidth; ++k) lanes.at[k] *= coefficient;
        store(lanes, gradient + i);
      });
}

__global__ void __launch_bounds__(kThreads) clip_by_value_kernel(float clip_value, float* gradient, std::int64_t count, bool wide) {
  for_elements<kAtOnce>(
      count, wide, [=](auto width, std::int64_t i) { return load<width>(gradient + i); },
      [=]<int kWidth>(std::int64_t i, Lanes<float, kWidth> lanes) {
        for (int k = 0; k < kWidth; ++k) lanes.at[k] = clipped(lanes.at[k], clip_value);
        store(lanes, gradient + i);
      });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::vector_norm(const Tensor& x, double norm_type, Tensor& norm, Stream& stream) {
  constexpr std::int64_t kTile = std::int64_t{4} * kThreads;
  const std::int64_t count = x.numel(), blocks = std::clamp<std::int64_t>((count + kTile - 1) / kTile, 1, kMaxBlocks);
  const float* from = x.device_data<float>();
  float* to = norm.device_data<float>();
  Tensor memory = blocks > 1 ? Tensor::empty({blocks * std::int64_t{sizeof(double)}}, DType::u8, stream.device()) : Tensor{};
  auto* totals = reinterpret_cast<double*>(memory.bytes());
  with_norm(norm_type, [&]<class Norm>(const Norm& formula) {
    launch(stream, "vector_norm", {blocks, kThreads}, norm_kernel<Norm>, formula, from, count, are_aligned<4>(from), totals, to);
    if (blocks > 1) launch(stream, "vector_norm", {1, kThreads}, norm_of_totals_kernel<Norm>, formula, totals, blocks, to);
  });
}

void cuda::clip_by_norm(const Tensor& total_norm, float max_norm, Tensor& gradient, Stream& stream) {
  float* values = gradient.device_data<float>();
  const bool wide = are_aligned<4>(values);
  launch(stream, "clip_by_norm", element_grid(stream, gradient.numel(), wide, kAtOnce), clip_by_norm_kernel,
         total_norm.device_data<float>(), max_norm, values, gradient.numel(), wide);
}

void cuda::clip_by_value(float clip_value, Tensor& gradient, Stream& stream) {
  float* values = gradient.device_data<float>();
  const bool wide = are_aligned<4>(values);
  launch(stream, "clip_by_value", element_grid(stream, gradient.numel(), wide, kAtOnce), clip_by_value_kernel, clip_value, values,
         gradient.numel(), wide);
}

}  // namespace gpucnn::kernels
