#include <gpucnn/kernels/norm/fold_norm.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::string_view kOp = "fold_norm";

void check_channels(std::string_view name, const Tensor& tensor, std::int64_t K, const Stream& stream) {
  if (tensor.defined()) check_tensor(kOp, name, tensor, Shape{K}, DType::f32, stream);
}

}  // namespace

void fold_norm(const Tensor& weight, const Tensor& bias, const FixedNorm& norm, Tensor& folded_weight, Tensor& folded_bias,
               Stream& stream) {
  check_tensor(kOp, "weight", weight, DType::f32, stream);
  check_rank(kOp, "weight", weight, 4);
  const std::int64_t K = weight.dim(0);
  check_channels("bias", bias, K, stream);
  check_tensor(kOp, "running_mean", norm.running_mean, Shape{K}, DType::f32, stream);
  check_tensor(kOp, "running_var", norm.running_var, Shape{K}, DType::f32, stream);
  check_channels("the norm's weight", norm.weight, K, stream);
  check_channels("the norm's bias", norm.bias, K, stream);
  const DType dtype = check_activation(kOp, "folded_weight", folded_weight, stream);
  check_tensor(kOp, "folded_weight", folded_weight, weight.shape(), dtype, stream);
  check_tensor(kOp, "folded_bias", folded_bias, Shape{K}, dtype, stream);
  dispatch(
      stream, [&] { cpu::fold_norm(weight, bias, norm, folded_weight, folded_bias, stream); },
      [&] { cuda::fold_norm(weight, bias, norm, folded_weight, folded_bias, stream); });
}

}  // namespace gpucnn::kernels
