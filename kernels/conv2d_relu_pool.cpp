#include <gpucnn/kernels/conv2d_relu_pool.h>

#include <stdexcept>

#include <gpucnn/kernels/check.h>
#include <gpucnn/kernels/clear_gradient.h>

namespace gpucnn::kernels {

namespace cpu {
void conv2d_relu_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Tensor& place,
                      Conv2dReluPoolWeights& kept);
void conv2d_relu_pool_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& place,
                               Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx);
}  // namespace cpu

namespace {

/// Checks x and weight; returns y's shape.
Shape check_operands(std::string_view op, const Tensor& x, const Tensor& weight, Stream& stream) {
  if (stream.device().kind != Device::Kind::cpu) {
    throw std::invalid_argument(fmt::format("{}: has no twin for {}", op, stream.device().string()));
  }
  check_tensor(op, "x", x, DType::f32, stream);
  check_rank(op, "x", x, 4);
  if (x.dim(1) < 1 || x.dim(2) < 2 || x.dim(3) < 2) {
    throw std::invalid_argument(
        fmt::format("{}: x must have a channel and be at least 2 high and wide, got {}", op, x.shape().string()));
  }
  check_tensor(op, "weight", weight, DType::f32, stream);
  check_rank(op, "weight", weight, 4);
  check_tensor(op, "weight", weight, {weight.dim(0), x.dim(1), 3, 3}, DType::f32, stream);
  return {x.dim(0), weight.dim(0), x.dim(2) / 2, x.dim(3) / 2};
}

}  // namespace

bool conv2d_relu_pool_serves(const Conv2dOptions& conv, const Pool2d& pool, Device device) {
  return device.kind == Device::Kind::cpu && conv.kernel_size == 3 && conv.stride == 1 && conv.padding == 1 && conv.dilation == 1 &&
         conv.groups == 1 && pool.kernel_size == 2 && pool.stride == 2 && pool.padding == 0;
}

void conv2d_relu_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Tensor& place,
                      Conv2dReluPoolWeights& kept, Stream& stream) {
  constexpr std::string_view kOp = "conv2d_relu_pool";
  const Shape shape = check_operands(kOp, x, weight, stream);
  if (bias.defined()) check_tensor(kOp, "bias", bias, Shape{weight.dim(0)}, DType::f32, stream);
  check_tensor(kOp, "y", y, shape, DType::f32, stream);
  check_apart(kOp, "y", y, "x", x);
  if (place.defined()) check_tensor(kOp, "place", place, shape, DType::u8, stream);
  if (y.numel()) cpu::conv2d_relu_pool(x, weight, bias, y, place, kept);
}

void conv2d_relu_pool_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& place,
                               Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx, Stream& stream) {
  constexpr std::string_view kOp = "conv2d_relu_pool_backward";
  const Shape shape = check_operands(kOp, x, weight, stream);
  check_tensor(kOp, "dy", dy, shape, DType::f32, stream);
  check_tensor(kOp, "place", place, shape, DType::u8, stream);
  check_tensor(kOp, "dweight", dweight, weight.shape(), DType::f32, stream);
  if (dbias.defined()) check_tensor(kOp, "dbias", dbias, Shape{weight.dim(0)}, DType::f32, stream);
  if (dx.defined()) {
    check_tensor(kOp, "dx", dx, x.shape(), DType::f32, stream);
    check_apart(kOp, "dx", dx, "x", x);
  }
  if (x.dim(0) > 0) return cpu::conv2d_relu_pool_backward(x, weight, dy, place, accumulate, dweight, dbias, dx);
  clear_gradient(dweight, accumulate.dweight);
  clear_gradient(dbias, accumulate.dbias);
}

}  // namespace gpucnn::kernels
