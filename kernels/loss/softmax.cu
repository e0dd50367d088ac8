#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/softmax_warp.h>
#include <gpucnn/kernels/loss/twins.h>

// A row for each warp. Images are channels-last, so that the channels of a pixel are a row as well.
namespace gpucnn::kernels::cuda {
namespace {

constexpr int kRows = kThreads / kWarp;

/// Calls `body(first)` for the rows of this warp; a row begins at element `first`.
template <class Body>
__device__ void for_rows(std::int64_t rows, std::int64_t C, const Body& body) {
  for (std::int64_t n = std::int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp; n < rows; n += std::int64_t{gridDim.x} * kRows) {
    body(n * C);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) softmax_kernel(const T* x, T* y, std::int64_t rows, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for_rows(rows, C, [=](std::int64_t first) {
    if constexpr (std::is_same_v<T, float>) {
      const auto scale = static_cast<float>(1 / softmax_row(x + first, y + first, C).sum);
      for (std::int64_t c = lane; c < C; c += kWarp) y[first + c] *= scale;
    } else {
      // Rounded once: y does not hold the exponentials.
      const auto [largest, sum] = softmax_row(x + first, nullptr, C);
      for (std::int64_t c = lane; c < C; c += kWarp) {
        y[first + c] = narrow<T>(static_cast<float>(exp(static_cast<double>(widen(x[first + c])) - largest) / sum));
      }
    }
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto wide = [](T value) { return static_cast<double>(widen(value)); };
  for_rows(rows, C, [=](std::int64_t first) {
    double sum = 0;
    for (std::int64_t e = first + lane; e < first + C; e += kWarp) sum += wide(y[e]) * wide(dy[e]);
    sum = warp_sum(sum);
    for (std::int64_t e = first + lane; e < first + C; e += kWarp) {
      dx[e] = narrow<T>(static_cast<float>(wide(y[e]) * (wide(dy[e]) - sum)));
    }
  });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::softmax(const Tensor& x, Tensor& y, Stream& stream) {
  const std::int64_t C = x.dim(1), rows = x.numel() / C;
  for_activation(x.dtype(), [&]<class T>(T) {
    launch(stream, "softmax", grid(stream, rows * kWarp), softmax_kernel<T>, x.device_data<T>(), y.device_data<T>(), rows, C);
  });
}

void cuda::softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  const std::int64_t C = y.dim(1), rows = y.numel() / C;
  for_activation(y.dtype(), [&]<class T>(T) {
    launch(stream, "softmax_backward", grid(stream, rows * kWarp), softmax_backward_kernel<T>, y.device_data<T>(),
           dy.device_data<T>(), dx.device_data<T>(), rows, C);
  });
}

}  // namespace gpucnn::kernels
