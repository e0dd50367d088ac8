#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/combine/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 2;

template <class T, int kWidth>
struct Summands {
  Lanes<T, kWidth> a, b;
};

template <class T>
__global__ void __launch_bounds__(kThreads) add_kernel(const T* a, const T* b, T* y, std::int64_t count, bool wide) {
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        return Summands<T, width>{load<width>(a + i), load<width>(b + i)};
      },
      [=]<int kWidth>(std::int64_t i, const Summands<T, kWidth>& read) {
        Lanes<T, kWidth> sum;
        for (int k = 0; k < kWidth; ++k) sum.at[k] = narrow<T>(widen(read.a.at[k]) + widen(read.b.at[k]));
        store(sum, y + i);
      });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::add(const Tensor& a, const Tensor& b, Tensor& y, Stream& stream) {
  for_activation(y.dtype(), [&]<class T>(T) {
    const T* one = a.device_data<T>();
    const T* other = b.device_data<T>();
    T* to = y.device_data<T>();
    const bool wide = are_aligned<4>(one, other, to);
    launch(stream, "add", element_grid(stream, y.numel(), wide, kAtOnce), add_kernel<T>, one, other, to, y.numel(), wide);
  });
}

}  // namespace gpucnn::kernels
