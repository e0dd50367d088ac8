#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 4, kAtOnceBackward = 2;

template <class T>
__global__ void relu_kernel(const T* x, T* y, std::int64_t count, bool wide) {
  for_elements<kAtOnce>(
      count, wide, [=](auto width, std::int64_t i) { return load<width>(x + i); },
      [=](std::int64_t i, auto values) {
        // A comparison, where fmaxf would turn NaN into 0.
        for (T& value : values.at) value = widen(value) < 0 ? T{} : value;
        store(values, y + i);
      });
}

template <class T, int kWidth>
struct Gradient {
  Lanes<T, kWidth> y, dy;
};

template <class T>
__global__ void relu_backward_kernel(const T* y, const T* dy, T* dx, std::int64_t count, bool wide) {
  for_elements<kAtOnceBackward>(
      count, wide,
      [=](auto width, std::int64_t i) {
        return Gradient<T, width>{load<width>(y + i), load<width>(dy + i)};
      },
      [=]<int kWidth>(std::int64_t i, Gradient<T, kWidth> values) {
        for (int k = 0; k < kWidth; ++k) {
          if (widen(values.y.at[k]) <= 0) values.dy.at[k] = T{};
        }
        store(values.dy, dx + i);
      });
}

}  // namespace

void relu(const Tensor& x, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    const bool wide = are_aligned<4>(from, to);
    launch(stream, "relu", element_grid(stream, x.numel(), wide, kAtOnce), relu_kernel<T>, from, to, x.numel(), wide);
  });
}

void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  for_activation(y.dtype(), [&]<class T>(T) {
    const T* out = y.device_data<T>();
    const T* from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    const bool wide = are_aligned<4>(out, from, to);
    launch(stream, "relu_backward", element_grid(stream, y.numel(), wide, kAtOnceBackward), relu_backward_kernel<T>, out, from, to,
           y.numel(), wide);
  });
}

}  // namespace gpucnn::kernels::cuda
