#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

/// A block folds the weights of one output channel after the other.
template <class T>
__global__ void __launch_bounds__(kThreads)
    fold_kernel(const float* weight, const float* bias, const float* mean, const float* var, const float* norm_weight,
                const float* norm_bias, double eps, std::int64_t K, std::int64_t row, T* folded_weight, T* folded_bias) {
  for (std::int64_t k = blockIdx.x; k < K; k += gridDim.x) {
    const double scale = (norm_weight ? norm_weight[k] : 1.0F) / sqrt(static_cast<double>(var[k]) + eps);
    for (std::int64_t i = k * row + threadIdx.x; i < (k + 1) * row; i += kThreads) {
      folded_weight[i] = narrow<T>(static_cast<float>(static_cast<double>(weight[i]) * scale));
    }
    if (threadIdx.x != 0) continue;
    const double centered = static_cast<double>(bias ? bias[k] : 0.0F) - static_cast<double>(mean[k]);
    folded_bias[k] = narrow<T>(static_cast<float>(centered * scale + static_cast<double>(norm_bias ? norm_bias[k] : 0.0F)));
  }
}

}  // namespace

void fold_norm(const Tensor& weight, const Tensor& bias, const FixedNorm& norm, Tensor& folded_weight, Tensor& folded_bias,
               Stream& stream) {
  const auto data_of = [](const Tensor& tensor) { return tensor.defined() ? tensor.device_data<float>() : nullptr; };
  const std::int64_t K = weight.dim(0);
  if (K == 0) return;
  for_activation(folded_weight.dtype(), [&]<class T>(T) {
    launch(stream, "fold_norm", {K, kThreads}, fold_kernel<T>, weight.device_data<float>(), data_of(bias),
           data_of(norm.running_mean), data_of(norm.running_var), data_of(norm.weight), data_of(norm.bias), norm.eps, K,
           weight.numel() / K, folded_weight.device_data<T>(), folded_bias.device_data<T>());
  });
}

}  // namespace gpucnn::kernels::cuda
