#include <gpucnn/layers/conv2d.h>

#include <cmath>
#include <typeinfo>

#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {

Conv2d::Conv2d(int in_channels, int out_channels, Conv2dOptions options)
    : in_channels_(in_channels), out_channels_(out_channels), options_(options) {
  const Shape weight = kernels::conv2d_weight_shape(in_channels, out_channels, options);
  const FloatEnvironment standard;
  const Init init = Init::uniform(static_cast<float>(1.0 / std::sqrt(static_cast<double>(weight.with(0, 1).numel()))));
  weight_ = Parameter(weight, init);
  if (options.bias) bias_ = Parameter({out_channels}, init);
}

Shape Conv2d::output_shape(const Shape& x) const { return kernels::conv2d_shape(x, in_channels_, out_channels_, options_); }

kernels::Conv2dPlan& Conv2d::plan(const Shape& x) {
  const Device device = stream().device();
  return plans_.get(x, device, precision(), [&] { return kernels::Conv2dPlan(x, out_channels_, options_, device, precision()); });
}

Tensor Conv2d::forward(const Tensor& x) {
  kernels::Conv2dPlan& conv = plan(x.shape());
  Tensor y = Tensor::empty(conv.y_shape(), x.dtype(), x.device());
  conv.forward(x, operand(weight_), options_.bias ? operand(bias_) : Tensor{}, relu_follows_, y, stream());
  keep(x_, x);
  return y;
}

Tensor Conv2d::backward(const Tensor& given) {
  kernels::Conv2dPlan& conv = plan(kept(x_).shape());
  const Tensor dy = check_gradient(given, conv.y_shape());
  const Tensor x = consume(x_);
  auto [dweight, add_weight] = weight_.grad_target();
  auto [dbias, add_bias] = options_.bias ? bias_.grad_target() : Parameter::GradTarget{};
  conv.backward_weights(x, dy, {add_weight, add_bias}, dweight, dbias, stream());
  if (!input_grad()) return {};
  Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  conv.backward_data(dy, operand(weight_), dx, stream());
  return returned(dx);
}

void Conv2d::members(Members& m) {
  m("weight", weight_);
  m("bias", bias_);
}

bool Conv2d::set_relu_follows(bool on) {
  if (typeid(*this) != typeid(Conv2d)) return false;  // a class derived from it may change what comes out
  relu_follows_ = on;
  return true;
}

}  // namespace gpucnn
