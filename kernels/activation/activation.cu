#include <gpucnn/kernels/activation/functors_cuda.h>
#include <gpucnn/kernels/activation/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels {
namespace cuda {
namespace {

constexpr int kAtOnce = 4, kAtOnceBackward = 2;

template <class T>
__global__ void __launch_bounds__(kThreads)
    activation_kernel(Activation function, const T* x, T* y, std::int64_t count, bool wide) {
  with_functor(function, [=](const auto& functor) {
    for_elements<kAtOnce>(
        count, wide, [=](auto width, std::int64_t i) { return load<width>(x + i); },
        [=](std::int64_t i, auto values) {
          for (T& value : values.at) value = narrow<T>(functor.forward(hn::Single(), widen(value)));
          store(values, y + i);
        });
  });
}

template <class T, int kWidth>
struct Gradient {
  Lanes<T, kWidth> kept, dy;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    activation_backward_kernel(Activation function, const T* kept, const T* dy, T* dx, std::int64_t count, bool wide) {
  with_functor(function, [=](const auto& functor) {
    for_elements<kAtOnceBackward>(
        count, wide,
        [=](auto width, std::int64_t i) {
          return Gradient<T, width>{load<width>(kept + i), load<width>(dy + i)};
        },
        [=]<int kWidth>(std::int64_t i, Gradient<T, kWidth> values) {
          for (int k = 0; k < kWidth; ++k) {
            values.dy.at[k] = narrow<T>(functor.backward(hn::Single(), widen(values.kept.at[k]), widen(values.dy.at[k])));
          }
          store(values.dy, dx + i);
        });
  });
}

}  // namespace
}  // namespace cuda

void cuda::activation(const Tensor& x, const Activation& function, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    const bool wide = are_aligned<4>(from, to);
    launch(stream, "activation", element_grid(stream, x.numel(), wide, kAtOnce), activation_kernel<T>, function, from, to,
           x.numel(), wide);
  });
}

void cuda::activation_backward(const Tensor& kept, const Activation& function, const Tensor& dy, Tensor& dx, Stream& stream) {
  for_activation(kept.dtype(), [&]<class T>(T) {
    const T *values = kept.device_data<T>(), *from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    const bool wide = are_aligned<4>(values, from, to);
    launch(stream, "activation_backward", element_grid(stream, kept.numel(), wide, kAtOnceBackward), activation_backward_kernel<T>,
           function, values, from, to, kept.numel(), wide);
  });
}

}  // namespace gpucnn::kernels
