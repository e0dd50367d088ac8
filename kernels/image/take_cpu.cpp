#include <algorithm>
#include <span>

#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cpu {

// One thread: a batch has few labels.
void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y) {
  const auto* from = x.data<std::int32_t>();
  std::ranges::transform(indices, y.data<std::int32_t>(), [&](std::int64_t index) { return from[index]; });
}

}  // namespace gpucnn::kernels::cpu
