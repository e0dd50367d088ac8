#include <utility>

#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/pool/max_pool2d.h>

namespace gpucnn {
namespace {

/// The ReLU is applied behind the pooling, to fewer elements: the maximum of ReLUs is the ReLU of the maximum.
class ReluPool final : public Stage {
 public:
  ReluPool(ActivationLayer& relu, MaxPool2d& pool) : relu_(relu), pool_(pool) {}

  Activation last_activation() const override { return relu_.function(); }
  void leave_last_activation() override { left_ = true; }
  bool gives_y_away() const override { return left_; }

  Tensor forward(const Tensor& x, Context& context) override {
    context.enter(relu_);
    context.enter(pool_);
    const Shape shape = pool_.output_shape(x.shape());
    Tensor y = Tensor::empty(shape, x.dtype(), x.device());
    Tensor argmax =
        context.keeps() ? Tensor::empty(shape, kernels::max_pool2d_argmax_dtype(pool_.options()), x.device()) : Tensor{};
    kernels::max_pool2d(x, pool_.options(), y, argmax, context.stream());
    kernels::activation(y, relu_.function(), y, context.stream());
    if (context.keeps()) {
      x_shape_ = x.shape();
      argmax_ = argmax;
      if (!left_) y_ = y;
    }
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    const Tensor argmax = std::exchange(argmax_, {}), y = std::exchange(y_, {});
    if (!relu_.input_grad()) return {};
    Tensor gradient = left_ ? dy : Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    if (!left_) kernels::activation_backward(y, relu_.function(), dy, gradient, context.stream());
    Tensor dx = Tensor::empty(x_shape_, dy.dtype(), dy.device());
    kernels::max_pool2d_backward(gradient, argmax, pool_.options(), dx, context.stream());
    return dx;
  }

 private:
  ActivationLayer& relu_;
  MaxPool2d& pool_;
  bool left_ = false;  // the ReLU's backward, to the stage behind
  Shape x_shape_;
  Tensor argmax_, y_;
};

}  // namespace

const Pattern kReluPool{
    .match = [](std::span<Module* const> layers) -> std::size_t {
      const auto* pool = layer_at<MaxPool2d>(layers, 1);
      // A window with gaps may lie in the padding alone: its maximum is -infinity, which the ReLU would make 0.
      const bool has_pixels = pool && (pool->options().dilation == 1 || pool->options().padding == 0);
      return is_relu(layers, 0) && has_pixels ? 2 : 0;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      return std::make_unique<ReluPool>(*activation_at(layers, 0), *layer_at<MaxPool2d>(layers, 1));
    },
};

}  // namespace gpucnn
