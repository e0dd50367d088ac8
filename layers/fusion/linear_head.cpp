#include <optional>
#include <utility>
#include <vector>

#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/head/linear_head_pass.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/fusion/fuse.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/module/step_ends.h>

namespace gpucnn {
namespace {

Tensor value_of(const Parameter& parameter) { return parameter.defined() ? parameter.value() : Tensor{}; }

kernels::cuda::LinearGradients gradients_of(const Linear& linear, const Context& context) {
  Parameter weight = linear.weight(), bias = linear.bias();
  auto [dweight, add_weight] = weight.grad_target();
  auto [dbias, add_bias] = bias.defined() ? bias.grad_target() : Parameter::GradTarget{};
  return {dweight, dbias, add_weight, add_bias, context.leads()};
}

/// A classifier's end. In a training step on a GPU, whose loss is cross-entropy, the loss and its gradients are computed with it:
/// two kernels forward and one backward. Otherwise the layers run as they would without this.
class LinearHead final : public Stage {
 public:
  explicit LinearHead(std::span<Module* const> layers)
      : hidden_(*layer_at<Linear>(layers, 0)),
        relu_(*activation_at(layers, 1)),
        dropout_(layer_at<Dropout>(layers, 2)),
        output_(*layer_at<Linear>(layers, layers.size() - 1)),
        apart_(fuse_without_heads(layers)) {}

  Tensor forward(const Tensor& x, Context& context) override {
    StepEnds* const ends = context.ends();
    const bool takes = ends && ends->loss && takes_loss(*ends->loss, x);
    if (context.keeps()) took_ = takes;
    if (takes) return forward_with(*ends->loss, x, context);
    Tensor y = x;
    for (const auto& stage : apart_) y = stage->forward(y, context);
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    if (took_) return backward_of_loss(context);
    Tensor gradient = dy;
    for (auto stage = apart_.rbegin(); stage != apart_.rend() && gradient.defined(); ++stage) {
      gradient = (*stage)->backward(gradient, context);
    }
    return gradient;
  }

 private:
  /// Labels that do not fit are the step's to refuse.
  bool takes_loss(const StepEnds::Loss& loss, const Tensor& x) const {
    if (x.device().kind != Device::Kind::cuda || x.rank() != 2) return false;
    if (loss.labels.device() != x.device() || loss.labels.dim(0) != x.dim(0)) return false;
    return kernels::dispatch(
        Stream(x.device()), [] { return false; },
        [&] { return kernels::linear_head_serves(x.dim(0), hidden_.weight().shape()[0], output_.weight().shape()[0]); });
  }

  kernels::cuda::HiddenLinear hidden(const Tensor& x, const Context& context) const {
    return {x, hidden_.weight().value(), context.precision()};
  }

  Tensor forward_with(StepEnds::Loss& loss, const Tensor& x, Context& context) {
    context.enter(hidden_);
    context.enter(relu_);
    const Shape hidden_units{x.dim(0), hidden_.weight().shape()[0]};
    const std::optional<RandomStream> mask = dropout_ ? dropout_->mask(hidden_units, context.enter(*dropout_)) : std::nullopt;
    context.enter(output_);
    const kernels::LinearHead head{.products = {},
                                   .hidden_bias = value_of(hidden_.bias()),
                                   .p = dropout_ ? dropout_->p() : 0,
                                   .mask = mask,
                                   .weight = output_.weight().value(),
                                   .bias = value_of(output_.bias()),
                                   .labels = loss.labels,
                                   .ignore_index = loss.ignore_index};
    return kernels::dispatch(
        context.stream(), [] { return Tensor{}; },
        [&] {
          Tensor logits = kernels::cuda::linear_head_forward(hidden(x, context), head, kept_, context.stream());
          if (loss.wants_value) {
            loss.value = Tensor::empty({}, DType::f32, x.device());
            kernels::cuda::linear_head_loss(kept_.parts, x.dim(0), loss.value, context.stream());
          }
          loss.gradient = Tensor::empty(logits.shape(), x.dtype(), x.device());
          loss.parts = std::exchange(kept_.parts, {});
          x_ = x;
          return logits;
        });
  }

  Tensor backward_of_loss(Context& context) {
    const Tensor x = std::exchange(x_, {});
    const kernels::cuda::LinearHeadPass kept = std::exchange(kept_, {});
    Tensor dx = context.enter(hidden_).input_grad() ? Tensor::empty(x.shape(), x.dtype(), x.device()) : Tensor{};
    auto of_hidden = gradients_of(hidden_, context), of_output = gradients_of(output_, context);
    kernels::dispatch(
        context.stream(), [] {},
        [&] { kernels::cuda::linear_head_backward(hidden(x, context), kept, of_hidden, of_output, dx, context.stream()); });
    return dx;
  }

  Linear& hidden_;
  ActivationLayer& relu_;
  Dropout* dropout_;  // null: none
  Linear& output_;
  std::vector<std::unique_ptr<Stage>> apart_;  // of the same layers
  // What the forward did that the next backward belongs to.
  bool took_ = false;
  Tensor x_;
  kernels::cuda::LinearHeadPass kept_;
};

/// Only the last layers of a network have the loss behind them.
std::size_t match(std::span<Module* const> layers) {
  const std::size_t count = layer_at<Dropout>(layers, 2) ? 4 : 3;
  const bool holds =
      layers.size() == count && layer_at<Linear>(layers, 0) && is_relu(layers, 1) && layer_at<Linear>(layers, count - 1);
  return holds ? count : 0;
}

}  // namespace

const Pattern kLinearHead{
    .match = match,
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> { return std::make_unique<LinearHead>(layers); },
};

}  // namespace gpucnn
