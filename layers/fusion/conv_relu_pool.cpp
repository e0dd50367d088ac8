#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <gpucnn/kernels/fused/conv2d_relu_pool.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/fusion/fuse.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/module/plan_cache.h>
#include <gpucnn/layers/module/step_ends.h>
#include <gpucnn/layers/pool/max_pool2d.h>

namespace gpucnn {
namespace {

/// Packed weights, which predictions at the same time do not share.
using PackedWeights = LeasePool<kernels::Conv2dReluPoolWeights>;

/// A Conv2d, the ReLU and the MaxPool2d behind it, and what their backward needs.
struct Link {
  Conv2d& conv;
  ActivationLayer& relu;
  MaxPool2d& pool;
  PackedWeights packed = {};
  Tensor x = {}, argmax = {};

  Shape output_shape(const Shape& given) const { return pool.output_shape(conv.output_shape(given)); }

  kernels::Conv2dReluPool operands(const Context& context, const Tensor& input, const Tensor& argmax_memory,
                                   kernels::Conv2dReluPoolWeights* kept) const {
    const Parameter bias = conv.bias();
    return {.weight = conv.weight().value(),
            .bias = bias.defined() ? bias.value() : Tensor{},
            .x = input,
            .argmax = argmax_memory,
            .kept = kept,
            .precision = context.precision()};
  }
};

template <class T>
using ForEach = std::array<T, kernels::kMaxConvolutions>;

/// On the CPU all links in one pass if an image and its activations stay in cache, else each in a pass of its own. On a GPU each
/// has a kernel of its own. The layers run one by one for images that do not fill its tiles. A Flatten behind the last one is
/// done by its stores.
class ConvReluPool final : public Stage {
 public:
  explicit ConvReluPool(std::span<Module* const> layers)
      : flatten_(layer_at<Flatten>(layers, layers.size() - 1)), apart_(fuse_without_conv_relu_pool(layers)) {
    for (std::size_t i = 0; i + 2 < layers.size(); i += 3) {
      links_.push_back(std::unique_ptr<Link>(
          new Link{*layer_at<Conv2d>(layers, i), *activation_at(layers, i + 1), *layer_at<MaxPool2d>(layers, i + 2)}));
    }
  }

  bool take_activation(const Activation& activation) override {
    before_ = activation;
    return apart_.front()->take_activation(activation);
  }

  void own_x() override { apart_.front()->own_x(); }

  bool gathers(const kernels::OrderedBatch& batch) const override {
    return serves_all(batch.batch) && kernels::conv2d_relu_pool_gathers(batch, batch.batch.device());
  }

  Tensor forward(const Tensor& x, Context& context) override {
    const bool serves = serves_all(x);
    if (context.keeps()) ran_apart_ = !serves;
    if (!serves) {
      Tensor y = x;
      for (const auto& stage : apart_) y = stage->forward(y, context);
      return y;
    }
    for (const auto& link : links_) {
      context.enter(link->conv);
      context.enter(link->relu);
      context.enter(link->pool);
    }
    if (flatten_) context.enter(*flatten_);
    const bool together = fits(x);
    Tensor y = together ? forward_pass(0, links_.size(), x, context) : x;
    for (std::size_t i = 0; !together && i < links_.size(); ++i) y = forward_pass(i, i + 1, y, context);
    if (context.keeps()) together_ = together;
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    if (ran_apart_) {
      Tensor gradient = dy;
      for (auto stage = apart_.rbegin(); stage != apart_.rend() && gradient.defined(); ++stage) {
        gradient = (*stage)->backward(gradient, context);
      }
      return gradient;
    }
    if (together_) return backward_pass(0, links_.size(), dy, context);
    Tensor gradient = dy;
    for (std::size_t i = links_.size(); i-- > 0;) {
      if (gradient.defined()) {
        gradient = backward_pass(i, i + 1, gradient, context);
      } else {  // nothing before the last pass learns
        links_[i]->x = links_[i]->argmax = {};
      }
    }
    return gradient;
  }

 private:
  /// Whether the kernels are good for all links.
  bool serves_all(const Tensor& x) const {
    Shape shape = x.shape();
    return std::ranges::all_of(links_, [&](const auto& link) {
      const Shape given = std::exchange(shape, link->output_shape(shape));
      return kernels::conv2d_relu_pool_pays(given, link->conv.out_channels(), x.device());
    });
  }

  bool fits(const Tensor& x) const {
    if (x.device().kind != Device::Kind::cpu) return false;
    ForEach<std::int64_t> channels;
    for (std::size_t i = 0; i < links_.size(); ++i) channels[i] = links_[i]->conv.out_channels();
    return kernels::conv2d_relu_pool_fits({x.dim(1), x.dim(2), x.dim(3)}, std::span(channels).first(links_.size()));
  }

  /// Links [first, last) in one pass.
  Tensor forward_pass(std::size_t first, std::size_t last, const Tensor& given, Context& context) {
    ForEach<kernels::Conv2dReluPool> convolutions;
    ForEach<std::optional<PackedWeights::Lease>> packed;
    Tensor x = given;
    Shape shape = x.shape();
    for (std::size_t i = first; i < last; ++i) {
      Link& link = *links_[i];
      if (i > first) x = context.keeps() ? kernels::conv2d_relu_pool_memory(shape, given.device()) : Tensor{};
      shape = link.output_shape(shape);
      const Tensor argmax = context.keeps() ? Tensor::empty(shape, DType::u8, given.device()) : Tensor{};
      packed[i].emplace(link.packed.take([](const auto&) { return true; }, [] { return kernels::Conv2dReluPoolWeights(); }));
      convolutions[i - first] = link.operands(context, x, argmax, &**packed[i]);
    }
    if (StepEnds* const ends = context.ends(); ends && ends->gathers && ends->gathers->batch.bytes() == given.bytes()) {
      convolutions[0].gathers = std::exchange(ends->gathers, nullptr);
    }
    if (flatten_ && last == links_.size()) shape = {shape[0], shape[1] * shape[2] * shape[3]};
    Tensor y = Tensor::empty(shape, given.dtype(), given.device());
    kernels::conv2d_relu_pool(std::span(convolutions).first(last - first), y, context.stream());
    for (std::size_t i = first; context.keeps() && i < last; ++i) {  // behind all that may fail
      links_[i]->x = convolutions[i - first].x;
      links_[i]->argmax = convolutions[i - first].argmax;
    }
    return y;
  }

  Tensor backward_pass(std::size_t first, std::size_t last, const Tensor& dy, Context& context) {
    ForEach<kernels::Conv2dReluPool> convolutions;
    ForEach<kernels::Conv2dReluPoolGradients> gradients;
    for (std::size_t i = first; i < last; ++i) {
      Link& link = *links_[i];
      convolutions[i - first] = link.operands(context, std::exchange(link.x, {}), std::exchange(link.argmax, {}), nullptr);
    }
    for (std::size_t i = first; i < last; ++i) {
      Parameter weight = links_[i]->conv.weight(), bias = links_[i]->conv.bias();
      auto [dweight, add_weight] = weight.grad_target();
      auto [dbias, add_bias] = bias.defined() ? bias.grad_target() : Parameter::GradTarget{};
      gradients[i - first] = {dweight, dbias, {add_weight, add_bias}, context.leads()};
    }
    const Tensor& x = convolutions[0].x;
    Tensor dx = links_[first]->conv.input_grad() ? Tensor::empty(x.shape(), x.dtype(), x.device()) : Tensor{};
    kernels::conv2d_relu_pool_backward(std::span(convolutions).first(last - first), dy, std::span(gradients).first(last - first),
                                       dx, context.stream());
    if (first == 0 && dx.defined() && before_.kind != Activation::none) {
      kernels::activation_backward(x, before_, dx, dx, context.stream());
    }
    return dx;
  }

  std::vector<std::unique_ptr<Link>> links_;
  Flatten* flatten_;                           // null: y is not flattened
  std::vector<std::unique_ptr<Stage>> apart_;  // of the same layers, without their kernel
  Activation before_;                          // that made x, if its backward is this stage's
  // What the forward did that the next backward belongs to.
  bool together_ = false, ran_apart_ = false;
};

std::size_t match(std::span<Module* const> layers) {
  std::size_t links = 0;
  for (; links < kernels::kMaxConvolutions; ++links) {
    const Conv2d* conv = layer_at<Conv2d>(layers, 3 * links);
    const MaxPool2d* pool = layer_at<MaxPool2d>(layers, 3 * links + 2);
    if (!conv || !is_relu(layers, 3 * links + 1) || !pool) break;
    if (!kernels::conv2d_relu_pool_serves(conv->options(), pool->options())) break;
  }
  return links == 0 ? 0 : 3 * links + (layer_at<Flatten>(layers, 3 * links) ? 1 : 0);
}

}  // namespace

const Pattern kConvReluPool{
    .match = match,
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> { return std::make_unique<ConvReluPool>(layers); },
};

}  // namespace gpucnn
