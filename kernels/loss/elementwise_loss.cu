#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/loss/elementwise_formula.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxSums = 1024;

/// sums[b] = the costs of the elements that block b takes.
__global__ void __launch_bounds__(kThreads)
    cost_kernel(ElementwiseLoss::Kind kind, double beta, const float* x, const float* t, const float* weight,
                const float* pos_weight, double divisor, float* dx, double* sums, std::int64_t count, std::int64_t C) {
  double sum = 0;
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) {
    const ElementCost cost =
        element_cost(kind, beta, static_cast<double>(x[i]), static_cast<double>(t[i]),
                     weight ? static_cast<double>(weight[i % C]) : 1, pos_weight ? static_cast<double>(pos_weight[i % C]) : 1);
    sum += cost.value;
    dx[i] = static_cast<float>(cost.slope / divisor);
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    cost_total_kernel(const double* sums, std::int64_t blocks, double divisor, float* loss) {
  double sum = 0;
  for (std::int64_t b = threadIdx.x; b < blocks; b += kThreads) sum += sums[b];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / divisor);
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::elementwise_loss(const Tensor& x, const Tensor& targets, const ElementwiseLoss& function, Tensor& loss, Tensor& dx,
                            Stream& stream) {
  const std::int64_t count = x.numel(), C = x.rank() == 2 ? x.dim(1) : 1;
  const std::int64_t blocks = std::min((count + kThreads - 1) / kThreads, kMaxSums);
  const double divisor = function.reduction == Reduction::mean ? static_cast<double>(count) : 1;
  Tensor memory = Tensor::empty({blocks * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
  auto* sums = reinterpret_cast<double*>(memory.bytes());
  launch(stream, "elementwise_loss", {blocks, kThreads}, cost_kernel, function.kind, function.beta, x.device_data<float>(),
         targets.device_data<float>(), function.weight.defined() ? function.weight.device_data<float>() : nullptr,
         function.pos_weight.defined() ? function.pos_weight.device_data<float>() : nullptr, divisor, dx.device_data<float>(), sums,
         count, C);
  launch(stream, "elementwise_loss", {1, kThreads}, cost_total_kernel, sums, blocks, divisor, loss.device_data<float>());
}

}  // namespace gpucnn::kernels
