#include <gpucnn/kernels/norm/statistics_formula.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels {

void cpu::batch_norm2d_statistics(const Tensor& running_mean, const Tensor& running_var, double eps, Tensor& statistics, Stream&) {
  const std::int64_t C = running_mean.numel();
  const float *mean = running_mean.data<float>(), *var = running_var.data<float>();
  float* to = statistics.data<float>();
  for (std::int64_t c = 0; c < C; ++c) {
    put_statistics(mean[c], var[c], eps, C, c, to);
  }
}

void cpu::batch_norm2d_update(const Tensor& statistics, std::int64_t values, const Tensor& counted, std::optional<double> momentum,
                              Tensor& running_mean, Tensor& running_var, Tensor& num_batches_tracked, Stream&) {
  const std::int64_t batches = ++*num_batches_tracked.data<std::int64_t>();
  if (counted.defined()) values = *counted.data<std::int64_t>();
  if (values == 0) return;
  const std::int64_t C = running_mean.numel();
  const double factor = momentum ? *momentum : 1 / static_cast<double>(batches);
  const double unbiased = unbiased_factor(values);
  const float* from = statistics.data<float>();
  float *mean = running_mean.rewrite<float>(), *var = running_var.rewrite<float>();
  for (std::int64_t c = 0; c < C; ++c) {
    const double batch_var = unbiased * static_cast<double>(from[kVariance * C + c]);
    mean[c] = static_cast<float>((1 - factor) * static_cast<double>(mean[c]) + factor * static_cast<double>(from[kMean * C + c]));
    var[c] = static_cast<float>((1 - factor) * static_cast<double>(var[c]) + factor * batch_var);
  }
}

}  // namespace gpucnn::kernels
