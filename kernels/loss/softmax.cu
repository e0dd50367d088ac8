#include <cmath>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/softmax_warp.h>
#include <gpucnn/kernels/loss/twins.h>

// A row for each warp, or for a few lanes of it. Images are channels-last, so that the channels of a pixel are a row as well.
namespace gpucnn::kernels::cuda {
namespace {

template <class Row, class T>
__global__ void __launch_bounds__(kThreads) softmax_kernel(const T* x, T* y, std::int64_t rows, std::int64_t C, bool wide) {
  constexpr int kRows = kRowsOfBlock<Row>;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kRows; first < rows; first += std::int64_t{gridDim.x} * kRows) {
    const std::int64_t n = first + threadIdx.x / Row::kLanes;
    const Row row(x + n * C, n < rows ? C : 0, wide);
    const float scale = 1 / row.sum();
    if (n < rows) row.write(scale, y + n * C, wide);
  }
}

/// sum + y dy, with what rounding takes from the product.
__device__ Compensated add_product(const Compensated& sum, float y, float dy) {
  const float product = y * dy;
  const Compensated next = sum + product;
  return {next.high, next.low + fmaf(y, dy, -product)};
}

/// y (dy - sum). What rounding took is NaN where the difference is not finite.
__device__ float gradient_of(float y, float dy, const Compensated& sum) {
  const Compensated difference = two_sum(dy, -sum.high);
  return y * (std::isfinite(difference.high) ? difference.high + (difference.low - sum.low) : difference.high);
}

/// kFours: as in `for_row_fours`.
template <int kLanes, int kFours, class T>
__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t C, bool wide) {
  constexpr int kRows = kThreads / kLanes;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kRows; first < rows; first += std::int64_t{gridDim.x} * kRows) {
    const std::int64_t n = first + threadIdx.x / kLanes, begin = n * C;
    Compensated sum;
    if constexpr (kFours > 0) {
      using Fours = RowFours<kLanes, kFours>;
      const Fours fours(n < rows ? C : 0);
      typename Fours::Values values, gradients;
      fours.load_row(y + begin, wide, T{}, values);
      fours.load_row(dy + begin, wide, T{}, gradients);
      GPUCNN_UNROLL
      for (int k = 0; k < Fours::kCount; ++k) sum = add_product(sum, values[k], gradients[k]);
      sum = group_sum<kLanes>(sum);
      if (n < rows) fours.store_row([&](int k) { return gradient_of(values[k], gradients[k], sum); }, dx + begin, wide);
    } else {
      const std::int64_t lane = threadIdx.x % kLanes, end = n < rows ? begin + C : begin;
      for (std::int64_t e = begin + lane; e < end; e += kLanes) sum = add_product(sum, widen(y[e]), widen(dy[e]));
      sum = group_sum<kLanes>(sum);
      for (std::int64_t e = begin + lane; e < end; e += kLanes) dx[e] = narrow<T>(gradient_of(widen(y[e]), widen(dy[e]), sum));
    }
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::softmax(const Tensor& x, Tensor& y, Stream& stream) {
  const std::int64_t C = x.dim(1), rows = x.numel() / C;
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    for_row<T>(C, [&]<class Row>(std::type_identity<Row>) {
      launch(stream, "softmax", grid(stream, rows * Row::kLanes), softmax_kernel<Row, T>, from, to, rows, C,
             C % 4 == 0 && are_aligned<4>(from, to));
    });
  });
}

void cuda::softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  const std::int64_t C = y.dim(1), rows = y.numel() / C;
  for_activation(y.dtype(), [&]<class T>(T) {
    const T *values = y.device_data<T>(), *from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    for_row_fours(C, [&]<int kLanes, int kFours>(std::integral_constant<int, kLanes>, std::integral_constant<int, kFours>) {
      launch(stream, "softmax_backward", grid(stream, rows * kLanes), softmax_backward_kernel<kLanes, kFours, T>, values, from, to,
             rows, C, C % 4 == 0 && are_aligned<4>(values, from, to));
    });
  });
}

}  // namespace gpucnn::kernels
