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

template <class T>
__global__ void __launch_bounds__(kThreads)
    softmax_backward_kernel(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto wide = [](T value) { return static_cast<double>(widen(value)); };
  const std::int64_t warps = std::int64_t{gridDim.x} * kThreads / kWarp;
  for (std::int64_t n = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp; n < rows; n += warps) {
    const std::int64_t first = n * C;
    double sum = 0;
    for (std::int64_t e = first + lane; e < first + C; e += kWarp) sum += wide(y[e]) * wide(dy[e]);
    sum = warp_sum(sum);
    for (std::int64_t e = first + lane; e < first + C; e += kWarp) {
      dx[e] = narrow<T>(static_cast<float>(wide(y[e]) * (wide(dy[e]) - sum)));
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
    launch(stream, "softmax_backward", grid(stream, rows * kWarp), softmax_backward_kernel<T>, y.device_data<T>(),
           dy.device_data<T>(), dx.device_data<T>(), rows, C);
  });
}

}  // namespace gpucnn::kernels
