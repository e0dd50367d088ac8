#include <gpucnn/layers/linear.h>

#include <cmath>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Linear::Linear(int in_features, int out_features, LinearOptions options)
    : in_features_(in_features), out_features_(out_features), options_(options) {
  if (in_features < 1 || out_features < 1) {
    throw std::invalid_argument(
        formatted("Linear: in_features and out_features must be at least 1, got {} and {}", in_features, out_features));
  }
  const FloatEnvironment standard;
  const Init init = Init::uniform(static_cast<float>(1.0 / std::sqrt(in_features)));
  weight_ = Parameter({out_features, in_features}, init);
  if (options.bias) bias_ = Parameter({out_features}, init);
}

Shape Linear::output_shape(const Shape& x) const { return kernels::linear_shape(x, in_features_, out_features_); }

PlanCache<kernels::LinearPlan>::Lease Linear::plan(const Shape& x, const Context& context) const {
  const Device device = context.stream().device();
  const Precision precision = context.precision();
  return plans_.take(x, device, precision, [&] { return kernels::LinearPlan(x, out_features_, options_.bias, device, precision); });
}

Tensor Linear::compute(const Tensor& x, Activation epilogue, Context& context) const {
  const auto linear = plan(x.shape(), context);
  Tensor y = Tensor::empty(linear->y_shape(), x.dtype(), x.device());
  linear->forward(x, context.operand(weight_), options_.bias ? context.operand(bias_) : Tensor{}, epilogue, y, context.stream());
  return y;
}

Tensor Linear::differentiate(const Tensor& x, const Tensor& dy, const Activation& before, Context& context) {
  const auto linear = plan(x.shape(), context);
  if (weight_.requires_grad() || (options_.bias && bias_.requires_grad())) {
    auto [dweight, add_weight] = weight_.grad_target();
    auto [dbias, add_bias] = options_.bias ? bias_.grad_target() : Parameter::GradTarget{};
    linear->backward_weights(x, dy, {add_weight, add_bias}, dweight, dbias, context.stream());
  }
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  linear->backward_data(dy, context.operand(weight_), dx, context.stream());
  if (before.kind != Activation::none) kernels::activation_backward(x, before, dx, dx, context.stream());
  return dx;
}

Tensor Linear::forward(const Tensor& x, Context& context) const {
  const Tensor factor = context.operand(x);
  context.save(factor);
  return compute(factor, {}, context);
}

int Linear::add_to(GraphBuilder& graph, int x) const {
  return graph.add(*this, op::Linear{GraphBuilder::tensor(weight_), GraphBuilder::tensor(bias_)}, x);
}

Tensor Linear::gradients(const Tensor& dy, Context& context) {
  return differentiate(context.saved(), context.operand(dy), {}, context);
}

void Linear::members(Members& m) {
  m("weight", weight_);
  m("bias", bias_);
}

}  // namespace gpucnn
