#include <algorithm>
#include <array>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/loss/elementwise_formula.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {

void cpu::elementwise_loss(const Tensor& x, const Tensor& targets, const ElementwiseLoss& function, Tensor& loss, Tensor& dx,
                           Stream&) {
  constexpr std::int64_t kMaxTasks = 64;
  constexpr std::int64_t kGrain = 4 * 1024;  // elements a task, or more
  const std::int64_t count = x.numel(), C = x.rank() == 2 ? x.dim(1) : 1;
  const float* from = x.data<float>();
  const float* target = targets.data<float>();
  const float* weight = function.weight.defined() ? function.weight.data<float>() : nullptr;
  const float* pos_weight = function.pos_weight.defined() ? function.pos_weight.data<float>() : nullptr;
  float* to = dx.data<float>();
  const double divisor = function.reduction == Reduction::mean ? static_cast<double>(count) : 1;
  const std::int64_t grain = std::max((count + kMaxTasks - 1) / kMaxTasks, kGrain);
  std::array<double, kMaxTasks> sums{};
  parallel_ranges(count, grain, [&](std::int64_t first, std::int64_t last) {
    double sum = 0;
    for (std::int64_t i = first; i < last; ++i) {
      const auto [value, slope] =
          element_cost(function.kind, function.beta, static_cast<double>(from[i]), static_cast<double>(target[i]),
                       weight ? static_cast<double>(weight[i % C]) : 1, pos_weight ? static_cast<double>(pos_weight[i % C]) : 1);
      sum += value;
      to[i] = static_cast<float>(slope / divisor);
    }
    sums[static_cast<std::size_t>(first / grain)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *loss.data<float>() = static_cast<float>(total / divisor);
}

}  // namespace gpucnn::kernels
