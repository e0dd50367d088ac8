#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/pool/pixels.h>
#include <gpucnn/kernels/pool/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) upsample_nearest2d_kernel(Extents s, int height, int width, const T* x, T* y) {
  const std::int64_t items = s.N * s.Ho * s.Wo * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, s.Ho, s.Wo);
    store(load<kWidth>(x + ((n * s.H + i / height) * s.W + j / width) * s.C + c), y + item * kWidth);
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::upsample_nearest2d(const Tensor& x, Size2 scale, Tensor& y, Stream& stream) {
  const Extents s = extents_of(x, y);
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(stream, "upsample_nearest2d", grid(stream, y.numel() / kWidth), upsample_nearest2d_kernel<kWidth, T>, s, scale.height,
             scale.width, from, to);
    };
    for_width(s.C, run, from, to);
  });
}

}  // namespace gpucnn::kernels
