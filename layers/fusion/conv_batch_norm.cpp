#include <memory>
#include <utility>

#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/fusion/batch_norm.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/module/plan_cache.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

namespace gpucnn {
namespace {

/// In a prediction the convolution does the normalisation's work too, where that pays. It saves a pass over its output, and costs
/// one over its weights. These are folded in each call, for anybody may have changed them.
class ConvBatchNorm final : public AddingStage {
 public:
  ConvBatchNorm(Conv2d& conv, BatchNorm2d& norm, ActivationLayer* relu)
      : conv_(conv), norm_(norm), relu_(relu), behind_(batch_norm_stage(norm, relu)) {}

  AddingStage* adding() override { return relu_ ? nullptr : this; }

  Tensor forward(const Tensor& x, Context& context) override {
    if (folds(x, context)) return folded(x, context);
    return behind_->forward(convolved(x, context), context);
  }

  Tensor backward(const Tensor& dy, Context& context) override { return differentiated(behind_->backward(dy, context), context); }

  /// Not folded: the sum wants a pass in any case.
  Tensor forward_sum(const Tensor& x, const Tensor& addend, Context& context) override {
    return behind_->forward_sum(convolved(x, context), addend, context);
  }

  Tensor backward_sum(const Tensor& dy, Tensor& dsum, Context& context) override {
    return differentiated(behind_->backward_sum(dy, dsum, context), context);
  }

 private:
  /// So many elements of y pay for folding one weight: with one, y's pass and the weights' would take about the same time.
  static constexpr std::int64_t kMinOutputs = 4;

  bool folds(const Tensor& x, Context& context) const {
    if (context.keeps() || !norm_.is_fixed(context.enter(norm_))) return false;
    return conv_.output_shape(x.shape()).numel() >= kMinOutputs * conv_.weight().numel();
  }

  Tensor folded(const Tensor& x, Context& context) {
    const Device device = context.stream().device();
    const Precision precision = context.precision();
    const Parameter weight = conv_.weight(), bias = conv_.bias();
    Tensor folded_weight = Tensor::empty(weight.shape(), x.dtype(), device);
    Tensor folded_bias = Tensor::empty({conv_.out_channels()}, x.dtype(), device);
    norm_.fold(weight.value(), bias.defined() ? bias.value() : Tensor{}, folded_weight, folded_bias, context.stream());
    Conv2dOptions options = conv_.options();
    options.bias = true;
    const auto plan = plans_.take(x.shape(), device, precision,
                                  [&] { return kernels::Conv2dPlan(x.shape(), conv_.out_channels(), options, device, precision); });
    Tensor y = Tensor::empty(plan->y_shape(), x.dtype(), device);
    plan->forward(x, folded_weight, folded_bias, relu_ ? relu_->function() : Activation{}, y, context.stream());
    return y;
  }

  Tensor convolved(const Tensor& x, Context& context) {
    Context conv = context.enter(conv_);
    Tensor y = conv_.compute(x, {}, conv);
    if (context.keeps()) x_ = x;
    return y;
  }

  Tensor differentiated(const Tensor& dy, Context& context) {
    const Tensor x = std::exchange(x_, {});
    if (!dy.defined()) return {};  // neither the convolution nor what stands before it learns
    Context conv = context.enter(conv_);
    return conv_.differentiate(x, dy, conv);
  }

  Conv2d& conv_;
  BatchNorm2d& norm_;
  ActivationLayer* relu_;                // null: none
  std::unique_ptr<AddingStage> behind_;  // the norm, and the ReLU if there is one
  PlanCache<kernels::Conv2dPlan> plans_;
  Tensor x_;
};

}  // namespace

const Pattern kConvBatchNorm{
    .match = [](std::span<Module* const> layers) -> std::size_t {
      if (!layer_at<Conv2d>(layers, 0) || !layer_at<BatchNorm2d>(layers, 1)) return 0;
      return is_relu(layers, 2) ? 3 : 2;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      return std::make_unique<ConvBatchNorm>(*layer_at<Conv2d>(layers, 0), *layer_at<BatchNorm2d>(layers, 1),
                                             activation_at(layers, 2));
    },
};

}  // namespace gpucnn
