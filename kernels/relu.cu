#include <gpucnn/core/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/elements.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 4, kAtOnceBackward = 2;

__global__ void relu_kernel(const float* x, float* y, std::int64_t count, bool wide) {
  for_elements<kAtOnce>(
      count, wide, [=](auto width, std::int64_t i) { return load<width>(x + i); },
      [=](std::int64_t i, auto values) {
        // A comparison, where fmaxf would turn NaN into 0.
        for (float& value : values.at) value = value < 0 ? 0 : value;
        store(values, y + i);
      });
}

template <int kWidth>
struct Gradient {
  Lanes<float, kWidth> y, dy;
};

__global__ void relu_backward_kernel(const float* y, const float* dy, float* dx, std::int64_t count, bool wide) {
  for_elements<kAtOnceBackward>(
      count, wide,
      [=](auto width, std::int64_t i) {
        return Gradient<width>{load<width>(y + i), load<width>(dy + i)};
      },
      [=]<int kWidth>(std::int64_t i, Gradient<kWidth> values) {
        for (int k = 0; k < kWidth; ++k) {
          if (values.y.at[k] <= 0) values.dy.at[k] = 0;
        }
        store(values.dy, dx + i);
      });
}

}  // namespace

void relu(const Tensor& x, Tensor& y, Stream& stream) {
  const float* from = x.data<float>();
  float* to = y.data<float>();
  const bool wide = are_aligned<4>(from, to);
  launch(stream, "relu", element_grid(stream, x.numel(), wide, kAtOnce), relu_kernel, from, to, x.numel(), wide);
}

void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  const float* out = y.data<float>();
  const float* from = dy.data<float>();
  float* to = dx.data<float>();
  const bool wide = are_aligned<4>(out, from, to);
  launch(stream, "relu_backward", element_grid(stream, y.numel(), wide, kAtOnceBackward), relu_backward_kernel, out, from, to,
         y.numel(), wide);
}

}  // namespace gpucnn::kernels::cuda
