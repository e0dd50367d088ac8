#include <algorithm>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task

}  // namespace

void cpu::cast(const Tensor& x, Tensor& y, Stream&) {
  parallel_ranges(x.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
    if (x.dtype() == DType::bf16) {
      const bf16* from = x.data<bf16>();
      std::transform(from + first, from + last, y.data<float>() + first, to_float);
    } else {
      const float* from = x.data<float>();
      std::transform(from + first, from + last, y.data<bf16>() + first, to_bf16);
    }
  });
}

}  // namespace gpucnn::kernels
