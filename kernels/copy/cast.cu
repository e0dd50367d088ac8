#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/copy/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 4;

template <class From, class To>
__global__ void __launch_bounds__(kThreads) cast_kernel(const From* x, To* y, std::int64_t count, bool wide) {
  for_elements<kAtOnce>(
      count, wide, [=](auto width, std::int64_t i) { return load<width>(x + i); },
      [=]<int kWidth>(std::int64_t i, const Lanes<From, kWidth>& values) {
        Lanes<To, kWidth> converted;
        for (int k = 0; k < kWidth; ++k) converted.at[k] = narrow<To>(widen(values.at[k]));
        store(converted, y + i);
      });
}

template <class From, class To>
void run(const Tensor& x, Tensor& y, const Stream& stream) {
  const From* from = x.device_data<From>();
  To* to = y.device_data<To>();
  const bool wide = are_aligned<4>(from, to);
  launch(stream, "cast", element_grid(stream, x.numel(), wide, kAtOnce), cast_kernel<From, To>, from, to, x.numel(), wide);
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::cast(const Tensor& x, Tensor& y, Stream& stream) {
  if (x.dtype() == DType::bf16) {
    run<bf16, float>(x, y, stream);
  } else {
    run<float, bf16>(x, y, stream);
  }
}

}  // namespace gpucnn::kernels
