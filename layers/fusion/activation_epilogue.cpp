#include <utility>

#include <gpucnn/layers/activation/activation_layer.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/max_pool2d.h>

namespace gpucnn {
namespace {

/// The activation is the epilogue of the layer before it: it is applied to each block of the result while that is in cache. Its
/// backward is left to the stage behind, if that one can. This one does the backward of an activation that made x.
template <class Layer>
class ActivationEpilogue final : public Stage {
 public:
  ActivationEpilogue(Layer& layer, ActivationLayer* activation) : layer_(layer), activation_(activation) {}

  Activation last_activation() const override { return activation_ ? activation_->function() : Activation{}; }
  void leave_last_activation() override { left_ = true; }
  bool gives_y_away() const override { return !differentiates(); }
  bool take_activation(const Activation& activation) override {
    before_ = activation;
    return true;
  }

  Tensor forward(const Tensor& x, Context& context) override {
    Context layer = context.enter(layer_);
    if (activation_) context.enter(*activation_);
    const Tensor factor = operand(x, layer);
    Tensor y = layer_.compute(factor, last_activation(), layer);
    if (context.keeps()) {
      x_ = factor;
      if (differentiates()) y_ = y;
    }
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    const Tensor x = std::exchange(x_, {}), y = std::exchange(y_, {});
    Context layer = context.enter(layer_);
    Tensor gradient = dy;
    if (differentiates()) {
      gradient = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
      kernels::activation_backward(y, activation_->function(), dy, gradient, context.stream());
    }
    if (!activation_) return layer_.differentiate(x, layer.operand(dy), before_, layer);
    make_operand(gradient, layer);  // made here, or in the stage behind for this one alone
    return layer_.differentiate(x, gradient, before_, layer);
  }

 private:
  bool differentiates() const { return activation_ && !left_; }

  Layer& layer_;
  ActivationLayer* activation_;  // null: none
  bool left_ = false;            // the activation's backward, to the stage behind
  Activation before_;            // that made x, if its backward is this stage's
  Tensor x_, y_;
};

}  // namespace

const Pattern kActivationEpilogue{
    // The function's input is not kept. A ReLU before a MaxPool2d goes with that one: it then has fewer elements.
    .match = [](std::span<Module* const> layers) -> std::size_t {
      const bool takes_epilogue = layer_at<Conv2d>(layers, 0) || layer_at<Linear>(layers, 0);
      const ActivationLayer* activation = activation_at(layers, 1);
      if (!takes_epilogue || !activation || !kernels::activation_backward_reads_y(activation->function())) return 0;
      return is_relu(layers, 1) && layer_at<MaxPool2d>(layers, 2) ? 1 : 2;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      ActivationLayer* const activation = activation_at(layers, 1);
      if (Conv2d* conv = layer_at<Conv2d>(layers, 0)) return std::make_unique<ActivationEpilogue<Conv2d>>(*conv, activation);
      return std::make_unique<ActivationEpilogue<Linear>>(*layer_at<Linear>(layers, 0), activation);
    },
};

}  // namespace gpucnn
