#include <memory>
#include <utility>
#include <vector>

#include <gpucnn/kernels/separable/separable_conv2d.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/fusion/fuse.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/module/plan_cache.h>
#include <gpucnn/layers/pool/max_pool2d.h>

namespace gpucnn {
namespace {

/// A depthwise Conv2d and one of single pixels, each with a ReLU or without one, and perhaps a MaxPool2d.
struct Separable {
  Conv2d *depthwise, *pointwise;
  ActivationLayer *relu_between, *relu;  // null: none
  MaxPool2d* pool;                       // null: none
  std::size_t count;                     // of all these layers; 0: there is no such convolution

  explicit Separable(std::span<Module* const> layers) {
    std::size_t next = 0;
    const auto take_relu = [&] { return is_relu(layers, next) ? activation_at(layers, next++) : nullptr; };
    depthwise = layer_at<Conv2d>(layers, next++);
    relu_between = take_relu();
    pointwise = layer_at<Conv2d>(layers, next++);
    count = 0;
    if (!depthwise || !pointwise) return;
    const int channels = depthwise->out_channels();
    if (!kernels::is_separable_conv2d(depthwise->options().groups, depthwise->options(), channels, pointwise->options())) return;
    count = next;
    relu = take_relu();
    pool = layer_at<MaxPool2d>(layers, next);
    if (pool && kernels::separable_conv2d_pools(pool->options())) {
      count = next + 1;
    } else {
      if (pool) relu = nullptr;  // the pooling's own stage takes it
      pool = nullptr;
      if (relu) count = next;
    }
  }
};

/// In a prediction on the CPU a band of rows goes through all layers. Where a backward follows, their results are needed whole.
class SeparableConv final : public Stage {
 public:
  explicit SeparableConv(std::span<Module* const> layers) : separable_(layers), apart_(fuse_without_separable_conv(layers)) {}

  Activation last_activation() const override { return apart_.back()->last_activation(); }
  void leave_last_activation() override { apart_.back()->leave_last_activation(); }
  bool take_activation(const Activation& activation) override { return apart_.front()->take_activation(activation); }
  bool gives_y_away() const override { return apart_.back()->gives_y_away(); }
  void own_x() override { apart_.front()->own_x(); }

  Tensor forward(const Tensor& x, Context& context) override {
    if (serves(x, context)) {
      if (Tensor y = predict(x, context); y.defined()) {
        for (const Module* layer : layers()) context.enter(*layer);
        return y;
      }
    }
    Tensor y = x;
    for (const auto& stage : apart_) y = stage->forward(y, context);
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    Tensor gradient = dy;
    for (auto stage = apart_.rbegin(); stage != apart_.rend() && gradient.defined(); ++stage) {
      gradient = (*stage)->backward(gradient, context);
    }
    return gradient;
  }

 private:
  /// Whether the kernel takes this call. The layers say what is wrong with an x that they do not take either.
  static bool serves(const Tensor& x, const Context& context) {
    const bool is_on_cpu = x.device() == Device::cpu() && context.stream().device() == Device::cpu();
    return !context.keeps() && is_on_cpu && x.dtype() == DType::f32 && context.precision() == Precision::fp32 && x.numel() > 0;
  }

  /// Undefined where the layers must run one by one.
  Tensor predict(const Tensor& x, Context& context) const {
    const auto plan = plans_.take(x.shape(), x.device(), context.precision(), [&] {
      return kernels::SeparableConv2d(x.shape(), {.depthwise = separable_.depthwise->options(),
                                                  .pointwise = separable_.pointwise->options(),
                                                  .out_channels = separable_.pointwise->out_channels(),
                                                  .pooled = separable_.pool != nullptr});
    });
    Tensor y = Tensor::empty(plan->y_shape(), x.dtype(), x.device());
    return plan->forward(x, factors_of(*separable_.depthwise, separable_.relu_between),
                         factors_of(*separable_.pointwise, separable_.relu), y)
               ? y
               : Tensor{};
  }

  static kernels::SeparableConv2d::Factors factors_of(const Conv2d& conv, const ActivationLayer* relu) {
    const Parameter bias = conv.bias();
    return {conv.weight().value(), bias.defined() ? bias.value() : Tensor{}, relu != nullptr};
  }

  Separable separable_;
  std::vector<std::unique_ptr<Stage>> apart_;  // of the same layers, without this pattern
  PlanCache<kernels::SeparableConv2d> plans_;
};

}  // namespace

const Pattern kSeparableConv{
    .match = [](std::span<Module* const> layers) -> std::size_t { return Separable(layers).count; },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> { return std::make_unique<SeparableConv>(layers); },
};

}  // namespace gpucnn
