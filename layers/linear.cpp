#include <gpucnn/layers/linear.h>

#include <cmath>
#include <stdexcept>
#include <typeinfo>

#include <fmt/format.h>

#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {

Linear::Linear(int in_features, int out_features, LinearOptions options)
    : in_features_(in_features), out_features_(out_features), options_(options) {
  if (in_features < 1 || out_features < 1) {
    throw std::invalid_argument(
        fmt::format("Linear: in_features and out_features must be at least 1, got {} and {}", in_features, out_features));
  }
  const FloatEnvironment standard;
  const Init init = Init::uniform(static_cast<float>(1.0 / std::sqrt(in_features)));
  weight_ = Parameter({out_features, in_features}, init);
  if (options.bias) bias_ = Parameter({out_features}, init);
}

Shape Linear::output_shape(const Shape& x) const { return kernels::linear_shape(x, in_features_, out_features_); }

kernels::LinearPlan& Linear::plan(const Shape& x) {
  const Device device = stream().device();
  return plans_.get(x, device, precision(),
                    [&] { return kernels::LinearPlan(x, out_features_, options_.bias, device, precision()); });
}

Tensor Linear::forward(const Tensor& x) {
  kernels::LinearPlan& linear = plan(x.shape());
  Tensor y = Tensor::empty(linear.y_shape(), x.dtype(), x.device());
  linear.forward(x, operand(weight_), options_.bias ? operand(bias_) : Tensor{}, relu_follows_, y, stream());
  keep(x_, x);
  return y;
}

Tensor Linear::backward(const Tensor& given) {
  kernels::LinearPlan& linear = plan(kept(x_).shape());
  const Tensor dy = check_gradient(given, linear.y_shape());
  const Tensor x = consume(x_);
  auto [dweight, add_weight] = weight_.grad_target();
  auto [dbias, add_bias] = options_.bias ? bias_.grad_target() : Parameter::GradTarget{};
  linear.backward_weights(x, dy, {add_weight, add_bias}, dweight, dbias, stream());
  if (!input_grad()) return {};
  Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  linear.backward_data(dy, operand(weight_), dx, stream());
  return returned(dx);
}

void Linear::members(Members& m) {
  m("weight", weight_);
  m("bias", bias_);
}

bool Linear::set_relu_follows(bool on) {
  if (typeid(*this) != typeid(Linear)) return false;  // a class derived from it may change what comes out
  relu_follows_ = on;
  return true;
}

}  // namespace gpucnn
