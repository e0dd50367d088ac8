#include <algorithm>
#include <cmath>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels {

void cpu::fold_norm(const Tensor& weight, const Tensor& bias, const FixedNorm& norm, Tensor& folded_weight, Tensor& folded_bias,
                    Stream&) {
  constexpr std::int64_t kGrain = 16 * 1024;  // elements a task
  const auto data_of = [](const Tensor& tensor) { return tensor.defined() ? tensor.data<float>() : nullptr; };
  const float *const means = norm.running_mean.data<float>(), *const variances = norm.running_var.data<float>();
  const float *const scales = data_of(norm.weight), *const shifts = data_of(norm.bias);
  const float *const from = weight.data<float>(), *const biases = data_of(bias);
  float *const to = folded_weight.rewrite<float>(), *const folded = folded_bias.rewrite<float>();
  const std::int64_t K = weight.dim(0), row = weight.numel() / std::max<std::int64_t>(K, 1);
  const double eps = norm.eps;
  parallel_ranges(K, std::max<std::int64_t>(1, kGrain / row), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t k = first; k < last; ++k) {
      const double scale = (scales ? scales[k] : 1.0F) / std::sqrt(static_cast<double>(variances[k]) + eps);
      for (std::int64_t i = k * row; i < (k + 1) * row; ++i) to[i] = static_cast<float>(static_cast<double>(from[i]) * scale);
      const double centered = static_cast<double>(biases ? biases[k] : 0.0F) - static_cast<double>(means[k]);
      folded[k] = static_cast<float>(centered * scale + static_cast<double>(shifts ? shifts[k] : 0.0F));
    }
  });
}

}  // namespace gpucnn::kernels
