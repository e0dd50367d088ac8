#include <gpucnn/layers/fusion/stage.h>

#include <algorithm>

#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {

Tensor Stage::backward_plus(const Tensor& dy, const Tensor& addend, Context& context) {
  const Tensor gradient = backward(dy, context);
  Tensor dx = Tensor::empty(gradient.shape(), gradient.dtype(), gradient.device());
  kernels::add(gradient, addend, dx, context.stream());
  return dx;
}

void Stage::set_layers(std::span<Module* const> layers) {
  layers_.assign(layers.begin(), layers.end());
  parameters_.clear();
  for (Module* layer : layers_) {
    for_tree(
        *layer, [](const Module&) {}, [&](const Parameter& parameter) { parameters_.push_back(parameter); });
  }
}

std::int64_t Stage::count_weights() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.shape().numel();
  return count;
}

std::int64_t Stage::parameters_end() const {
  std::int64_t end = 0;
  for (const Parameter& parameter : parameters_) end = std::max(end, parameter.slot().first + Arena::padded(parameter.numel()));
  return end;
}

Tensor Stage::operand(const Tensor& x, const Context& layer) const {
  if (!owns_x_) return layer.operand(x);
  Tensor own = x;
  make_operand(own, layer);
  return own;
}

void Stage::make_operand(Tensor& gradient, const Context& layer) {
  if (rounds_factors(layer.precision(), layer.stream().device())) kernels::cpu::round_to_bf16(gradient, gradient);
}

}  // namespace gpucnn
