#include <gpucnn/layers/conv2d.h>

#include <cmath>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Conv2d::Conv2d(int in_channels, int out_channels, Conv2dOptions options)
    : in_channels_(in_channels), out_channels_(out_channels), options_(kernels::with_sides(options)) {
  const Shape weight = kernels::conv2d_weight_shape(in_channels, out_channels, options);
  const FloatEnvironment standard;
  const Init init = Init::uniform(static_cast<float>(1.0 / std::sqrt(static_cast<double>(weight.with(0, 1).numel()))));
  weight_ = Parameter(weight, init);
  if (options.bias) bias_ = Parameter({out_channels}, init);
}

Shape Conv2d::output_shape(const Shape& x) const { return kernels::conv2d_shape(x, in_channels_, out_channels_, options_); }

PlanCache<kernels::Conv2dPlan>::Lease Conv2d::plan(const Shape& x, const Context& context) const {
  const Device device = context.stream().device();
  const Precision precision = context.precision();
  return plans_.take(x, device, precision, [&] { return kernels::Conv2dPlan(x, out_channels_, options_, device, precision); });
}

Tensor Conv2d::compute(const Tensor& x, Activation epilogue, Context& context) const {
  const auto conv = plan(x.shape(), context);
  Tensor y = Tensor::empty(conv->y_shape(), x.dtype(), x.device());
  conv->forward(x, context.operand(weight_), options_.bias ? context.operand(bias_) : Tensor{}, epilogue, y, context.stream());
  return y;
}

Tensor Conv2d::differentiate(const Tensor& x, const Tensor& dy, const Activation& before, Context& context, const Tensor& addend) {
  const auto conv = plan(x.shape(), context);
  if (weight_.requires_grad() || (options_.bias && bias_.requires_grad())) {
    auto [dweight, add_weight] = weight_.grad_target();
    auto [dbias, add_bias] = options_.bias ? bias_.grad_target() : Parameter::GradTarget{};
    conv->backward_weights(x, dy, {add_weight, add_bias}, dweight, dbias, context.stream());
  }
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  conv->backward_data(dy, context.operand(weight_), {x, before, addend}, dx, context.stream());
  return dx;
}

Tensor Conv2d::forward(const Tensor& x, Context& context) const {
  const Tensor factor = context.operand(x);
  context.save(factor);
  return compute(factor, {}, context);
}

int Conv2d::add_to(GraphBuilder& graph, int x) const {
  return graph.add(*this, op::Conv2d{options_, GraphBuilder::tensor(weight_), GraphBuilder::tensor(bias_)}, x);
}

Tensor Conv2d::gradients(const Tensor& dy, Context& context) {
  return differentiate(context.saved(), context.operand(dy), {}, context);
}

void Conv2d::members(Members& m) {
  m("weight", weight_);
  m("bias", bias_);
}

}  // namespace gpucnn
