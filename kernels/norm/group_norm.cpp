#include <gpucnn/kernels/norm/group_norm.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/clear_gradient.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/norm/normalize.h>

namespace gpucnn::kernels {
namespace {

constexpr std::string_view kForward = "group_norm", kBackward = "group_norm_backward";

/// Each image of `x` as a segment.
NormSizes sizes_of(std::string_view op, const Tensor& x, std::int64_t groups) {
  check_rank(op, "x", x, 4);
  if (groups <= 0 || x.dim(1) % groups != 0) {
    throw std::invalid_argument(formatted("{}: num_groups must divide the {} channels, got {}", op, x.dim(1), groups));
  }
  return {x.dim(0), x.dim(2) * x.dim(3), x.dim(1), groups};
}

void check_channels(std::string_view op, std::string_view name, const Tensor& tensor, std::int64_t C, const Stream& stream) {
  if (tensor.defined()) check_tensor(op, name, tensor, Shape{C}, DType::f32, stream);
}

}  // namespace

void group_norm(const Tensor& x, std::int64_t num_groups, double eps, const Tensor& weight, const Tensor& bias, Tensor& statistics,
                Tensor& y, Stream& stream) {
  const DType dtype = check_activation(kForward, "x", x, stream);
  const NormSizes sizes = sizes_of(kForward, x, num_groups);
  check_value(kForward, "eps", eps, eps >= 0 && finite_in_f32(eps), "a finite number of at least 0");
  check_channels(kForward, "weight", weight, sizes.C, stream);
  check_channels(kForward, "bias", bias, sizes.C, stream);
  check_tensor(kForward, "statistics", statistics, Shape{kStatistics, sizes.S * sizes.G}, DType::f32, stream);
  check_tensor(kForward, "y", y, x.shape(), dtype, stream);
  if (x.numel() == 0) return;
  dispatch(
      stream,
      [&] {
        cpu::norm_statistics(x, sizes, eps, statistics, stream);
        cpu::normalize(x, sizes, statistics, weight, bias, {}, y, stream);
      },
      [&] {
        cuda::norm_statistics(x, sizes, eps, statistics, stream);
        cuda::normalize(x, sizes, statistics, weight, bias, {}, y, stream);
      });
}

void group_norm_backward(const Tensor& x, std::int64_t num_groups, const Tensor& statistics, const Tensor& weight, const Tensor& dy,
                         GroupNormAccumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation(kBackward, "x", x, stream);
  const NormSizes sizes = sizes_of(kBackward, x, num_groups);
  check_tensor(kBackward, "statistics", statistics, Shape{kStatistics, sizes.S * sizes.G}, DType::f32, stream);
  check_channels(kBackward, "weight", weight, sizes.C, stream);
  check_channels(kBackward, "dweight", dweight, sizes.C, stream);
  check_channels(kBackward, "dbias", dbias, sizes.C, stream);
  check_tensor(kBackward, "dy", dy, x.shape(), dtype, stream);
  if (dx.defined()) check_tensor(kBackward, "dx", dx, x.shape(), dtype, stream);
  if (x.numel() == 0) {
    clear_gradient(dweight, accumulate.dweight);
    clear_gradient(dbias, accumulate.dbias);
    return;
  }
  NormEpilogueBackward plain;
  NormGradients gradients{dweight, dbias, accumulate.dweight, accumulate.dbias};
  dispatch(
      stream, [&] { cpu::normalize_backward(x, sizes, statistics, weight, dy, false, plain, gradients, dx, stream); },
      [&] { cuda::normalize_backward(x, sizes, statistics, weight, dy, false, plain, gradients, dx, stream); });
}

}  // namespace gpucnn::kernels
