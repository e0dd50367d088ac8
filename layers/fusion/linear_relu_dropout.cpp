#include <optional>
#include <utility>

#include <gpucnn/kernels/activation/dropout.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/linear.h>

namespace gpucnn {
namespace {

/// The ReLU is the Linear's epilogue. Dropout is applied where the result lies, whose zeros then stand for what was dropped too.
class LinearReluDropout final : public Stage {
 public:
  LinearReluDropout(Linear& linear, ActivationLayer& relu, Dropout& dropout) : linear_(linear), relu_(relu), dropout_(dropout) {}

  bool take_activation(const Activation& activation) override {
    before_ = activation;
    return true;
  }

  Tensor forward(const Tensor& x, Context& context) override {
    Context linear = context.enter(linear_);
    context.enter(relu_);
    Context dropout = context.enter(dropout_);
    const Tensor factor = operand(x, linear);
    Tensor y = linear_.compute(factor, relu_.function(), linear);
    const std::optional<RandomStream> mask = dropout_.mask(y.shape(), dropout);
    if (mask) kernels::dropout(y, dropout_.p(), *mask, y, context.stream());
    if (context.keeps()) {
      x_ = factor;
      y_ = y;
      mask_ = mask;
    }
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    const Tensor x = std::exchange(x_, {}), y = std::exchange(y_, {});
    Context linear = context.enter(linear_);
    Tensor gradient = Tensor::empty(y.shape(), y.dtype(), y.device());
    if (mask_) {
      kernels::dropout(dy, dropout_.p(), *mask_, gradient, context.stream());
      kernels::activation_backward(y, relu_.function(), gradient, gradient, context.stream());
    } else {
      kernels::activation_backward(y, relu_.function(), dy, gradient, context.stream());
    }
    make_operand(gradient, linear);
    return linear_.differentiate(x, gradient, before_, linear);
  }

 private:
  Linear& linear_;
  ActivationLayer& relu_;
  Dropout& dropout_;
  Activation before_;  // that made x, if its backward is this stage's
  Tensor x_, y_;
  std::optional<RandomStream> mask_;
};

}  // namespace

const Pattern kLinearReluDropout{
    .match = [](std::span<Module* const> layers) -> std::size_t {
      return layer_at<Linear>(layers, 0) && is_relu(layers, 1) && layer_at<Dropout>(layers, 2) ? 3 : 0;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      return std::make_unique<LinearReluDropout>(*layer_at<Linear>(layers, 0), *activation_at(layers, 1),
                                                 *layer_at<Dropout>(layers, 2));
    },
};

}  // namespace gpucnn
