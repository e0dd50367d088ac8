#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/fusion/batch_norm.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/module/plan_cache.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

namespace gpucnn {
namespace {

/// A convolution with the work of the norm behind it in its weights. On the CPU they are folded again when they have changed. On a
/// GPU they are in each call, for nobody knows when a kernel there writes.
class FoldedConv {
 public:
  FoldedConv(const Shape& x, std::int64_t out_channels, const Conv2dOptions& options, Device device, Precision precision)
      : plan_(x, out_channels, options, device, precision), rounds_(rounds_factors(precision, device)) {}

  bool serves(const Shape& x, Device device, Precision precision) const { return plan_.serves(x, device, precision); }

  /// Undefined if there is an addend, whose sum would take a pass of its own.
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const kernels::FixedNorm& norm,
                 const kernels::Conv2dSum& epilogue, Stream& stream) {
    if (epilogue.addend.defined() && !plan_.takes_sum()) return {};
    fold(weight, bias, norm, x.dtype(), stream);
    Tensor y = Tensor::empty(plan_.y_shape(), x.dtype(), x.device());
    if (!epilogue.addend.defined()) {
      plan_.forward(x, weight_, bias_, epilogue.activation, y, stream);
    } else if (!plan_.forward_sum(x, weight_, bias_, epilogue, y, stream)) {
      y = {};
    }
    if (!keeps(stream)) weight_ = bias_ = {};  // while a step is captured memory is that step's
    return y;
  }

 private:
  void fold(const Tensor& weight, const Tensor& bias, const kernels::FixedNorm& norm, DType dtype, Stream& stream) {
    const std::array<Tensor, 6> all{weight, bias, norm.running_mean, norm.running_var, norm.weight, norm.bias};
    const auto same = [](const kernels::cpu::SeenValues& seen, const Tensor& now) { return seen.are_those_of(now); };
    if (keeps(stream) && std::ranges::equal(seen_, all, same)) return;
    for (auto& seen : seen_) seen.forget();
    if (!weight_.defined()) {
      weight_ = Tensor::empty(weight.shape(), dtype, stream.device());
      bias_ = Tensor::empty({weight.dim(0)}, dtype, stream.device());
    }
    kernels::fold_norm(weight, bias, norm, weight_, bias_, stream);
    if (rounds_) {
      kernels::cpu::round_to_bf16(weight_, weight_);
      kernels::cpu::round_to_bf16(bias_, bias_);
    }
    for (std::size_t i = 0; keeps(stream) && i < all.size(); ++i) seen_[i].note(all[i]);
  }

  static bool keeps(const Stream& stream) { return stream.device().kind == Device::Kind::cpu; }

  kernels::Conv2dPlan plan_;
  bool rounds_;
  std::array<kernels::cpu::SeenValues, 6> seen_;  // what these were made from
  Tensor weight_, bias_;
};

/// In a prediction the convolution does the normalisation's work too, which saves a pass over its output. On a GPU, where that
/// costs a pass over its weights, it does so where it pays.
class ConvBatchNorm final : public AddingStage {
 public:
  ConvBatchNorm(Conv2d& conv, BatchNorm2d& norm, ActivationLayer* relu)
      : conv_(conv), norm_(norm), relu_(relu), behind_(batch_norm_stage(norm, relu)) {}

  AddingStage* adding() override { return relu_ ? nullptr : this; }

  bool gives_y_away() const override { return true; }

  bool take_activation(const Activation& activation) override {
    before_ = activation;
    return true;
  }

  Tensor forward(const Tensor& x, Context& context) override {
    if (folds(x, context)) return folded(x, {{}, relu_ ? relu_->function() : Activation{}}, context);
    return behind_->forward(convolved(x, context), context);
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    return differentiated(behind_->backward(dy, context), {}, context);
  }

  Tensor backward_plus(const Tensor& dy, const Tensor& addend, Context& context) override {
    return differentiated(behind_->backward(dy, context), addend, context);
  }

  Tensor forward_sum(const Tensor& x, const Tensor& addend, Context& context) override {
    // On a GPU the sum wants a pass in any case.
    if (x.device().kind == Device::Kind::cpu && folds(x, context)) {
      if (Tensor y = folded(x, {addend, {Activation::relu}}, context); y.defined()) return y;
    }
    return behind_->forward_sum(convolved(x, context), addend, context);
  }

  Tensor backward_sum(const Tensor& dy, Tensor& dsum, Context& context) override {
    return differentiated(behind_->backward_sum(dy, dsum, context), {}, context);
  }

 private:
  /// So many elements of y pay for folding one weight: with one, y's pass and the weights' would take about the same time.
  static constexpr std::int64_t kMinOutputs = 4;

  bool folds(const Tensor& x, Context& context) const {
    if (context.keeps() || !norm_.is_fixed(context.enter(norm_))) return false;
    if (x.device().kind == Device::Kind::cpu) return true;
    return conv_.output_shape(x.shape()).numel() >= kMinOutputs * conv_.weight().numel();
  }

  Tensor folded(const Tensor& x, const kernels::Conv2dSum& epilogue, Context& context) {
    const Device device = context.stream().device();
    const Precision precision = context.precision();
    const Parameter weight = conv_.weight(), bias = conv_.bias();
    const auto conv = plans_.take(x.shape(), device, precision, [&] {
      Conv2dOptions options = conv_.options();
      options.bias = true;
      return FoldedConv(x.shape(), conv_.out_channels(), options, device, precision);
    });
    return conv->forward(operand(x, context), weight.value(), bias.defined() ? bias.value() : Tensor{}, norm_.fixed(), epilogue,
                         context.stream());
  }

  Tensor convolved(const Tensor& x, Context& context) {
    Context conv = context.enter(conv_);
    const Tensor factor = operand(x, conv);
    Tensor y = conv_.compute(factor, {}, conv);
    if (context.keeps()) x_ = factor;
    return y;
  }

  Tensor differentiated(const Tensor& dy, const Tensor& addend, Context& context) {
    const Tensor x = std::exchange(x_, {});
    if (!dy.defined()) return {};  // neither the convolution nor what stands before it learns
    Context conv = context.enter(conv_);
    Tensor gradient = dy;  // of the norm's x, made there
    make_operand(gradient, conv);
    return conv_.differentiate(x, gradient, before_, conv, addend);
  }

  Conv2d& conv_;
  BatchNorm2d& norm_;
  ActivationLayer* relu_;                // null: none
  std::unique_ptr<AddingStage> behind_;  // the norm, and the ReLU if there is one
  PlanCache<FoldedConv> plans_;
  Activation before_;  // that made x, if its backward is this stage's
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
