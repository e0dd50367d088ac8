#include <gpucnn/layers/fusion/stage.h>

#include <array>
#include <initializer_list>
#include <optional>
#include <typeinfo>

#include <gpucnn/kernels/activation/dropout.h>
#include <gpucnn/kernels/activation/relu.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/max_pool2d.h>
#include <gpucnn/layers/sequential.h>

namespace gpucnn {

class Stage::Alone final : public Stage {
 public:
  explicit Alone(Module& layer) : layer_(layer) {}
  Tensor forward(const Tensor& x) override { return layer_(x); }
  Tensor backward(const Tensor& dy) override { return layer_.backward(dy); }

  bool takes_flat() const override {
    if (typeid(layer_) == typeid(Flatten)) return true;
    const Sequential* const inner = sequential();
    return inner && !inner->stages_.empty() && inner->stages_.front()->takes_flat();
  }
  void may_flatten(bool on) override {
    const Sequential* const inner = sequential();
    if (inner && !inner->stages_.empty()) inner->stages_.back()->may_flatten(on);
  }

 private:
  /// The layer if it is a Sequential and no class derived from it, which may do something else with what goes in and out.
  Sequential* sequential() const { return typeid(layer_) == typeid(Sequential) ? static_cast<Sequential*>(&layer_) : nullptr; }

  Module& layer_;
};

/// A layer and the ReLU beside it: the layer applies one that follows in its own pass if it can; one before a MaxPool2d is applied
/// behind it, to fewer elements, which comes to the same.
class Stage::WithRelu final : public Stage {
 public:
  WithRelu(Module& layer, ReLU& relu) : layer_(layer), relu_(relu) {}

  /// Whether a layer can apply a ReLU that follows it.
  static bool applies(Module& layer) { return Told(layer).applied; }

  Tensor forward(const Tensor& x) override {
    relu_.note_use();
    const Told told(layer_);
    Tensor y = layer_(x);
    if (!told.applied) kernels::relu(y, y, relu_.stream());
    relu_.keep(relu_.y_, y);
    return y;
  }

  Tensor backward(const Tensor& dy) override { return layer_.backward(relu_.backward(dy)); }

 private:
  /// While it lives, the layer applies the ReLU, if it can.
  struct Told {
    Module& layer;
    bool applied;
    explicit Told(Module& with) : layer(with), applied(with.set_relu_follows(true)) {}
    ~Told() { layer.set_relu_follows(false); }
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
  };

  Module& layer_;
  ReLU& relu_;
};

/// The convolution, then the pooling and ReLU.
class Stage::ConvReluPool final : public Stage {
 public:
  ConvReluPool(Conv2d& conv, ReLU& relu, MaxPool2d& pool) : conv_(conv), relu_(relu), pool_(pool), pool_and_relu_(pool, relu) {}
  Tensor forward(const Tensor& x) override { return pool_and_relu_.forward(conv_(x)); }
  Tensor backward(const Tensor& dy) override { return conv_.backward(pool_and_relu_.backward(dy)); }

 private:
  friend class ConvReluPools;

  Conv2d& conv_;
  ReLU& relu_;
  MaxPool2d& pool_;
  WithRelu pool_and_relu_;
  kernels::Conv2dReluPoolWeights weights_;
};

/// Those that follow each other: all in one pass where a kernel serves them and an image stays in cache, else each in a pass of its
/// own if a kernel serves it.
class Stage::ConvReluPools final : public Stage {
 public:
  void add(Conv2d& conv, ReLU& relu, MaxPool2d& pool) { links_.push_back(std::make_unique<ConvReluPool>(conv, relu, pool)); }
  bool full() const { return links_.size() == kernels::kMostConvolutions; }
  void may_flatten(bool on) override { may_flatten_ = on; }

  Tensor forward(const Tensor& x) override {
    const bool together = fits(x);
    Tensor y = together ? forward_links(0, links_.size(), x) : x;
    for (std::size_t i = 0; !together && i < links_.size(); ++i) {
      y = serves(i, y) ? forward_links(i, i + 1, y) : links_[i]->forward(y);
    }
    if (links_.front()->conv_.keeps()) together_ = together;
    return y;
  }

  Tensor backward(const Tensor& given) override {
    if (together_) return backward_links(0, links_.size(), given);
    Tensor gradient = given;
    for (std::size_t i = links_.size(); i-- > 0;) {
      gradient = serves(i, gradient) ? backward_links(i, i + 1, gradient) : links_[i]->backward(gradient);
    }
    return gradient;
  }

 private:
  template <class T>
  using ForEach = std::array<T, kernels::kMostConvolutions>;

  bool serves(std::size_t i, const Tensor& x) const {
    return kernels::conv2d_relu_pool_serves(links_[i]->conv_.options_, links_[i]->pool_.pool_, x.device());
  }

  bool fits(const Tensor& x) const {
    ForEach<std::int64_t> channels;
    for (std::size_t i = 0; i < links_.size(); ++i) {
      if (!serves(i, x)) return false;
      channels[i] = links_[i]->conv_.out_channels_;
    }
    return kernels::conv2d_relu_pool_fits({x.dim(1), x.dim(2), x.dim(3)}, std::span(channels).first(links_.size()));
  }

  static kernels::Conv2dReluPool operands(ConvReluPool& link, const Tensor& x, const Tensor& place) {
    Conv2d& conv = link.conv_;
    return {conv.weight_.value(), conv.bias_.defined() ? conv.bias_.value() : Tensor{}, x, place, &link.weights_};
  }

  /// Links [first, last) in one pass.
  Tensor forward_links(std::size_t first, std::size_t last, const Tensor& given) {
    ForEach<kernels::Conv2dReluPool> convolutions;
    Tensor x = given;
    Shape shape = x.shape();
    for (std::size_t i = first; i < last; ++i) {
      ConvReluPool& link = *links_[i];
      for (Module* layer : std::initializer_list<Module*>{&link.conv_, &link.relu_, &link.pool_}) layer->note_use();
      const bool keeps = link.conv_.keeps();
      if (i > first) x = keeps ? kernels::conv2d_relu_pool_memory(shape) : Tensor{};
      shape = link.pool_.output_shape(link.conv_.output_shape(shape));
      const Tensor place = keeps ? Tensor::empty(shape, DType::u8, given.device()) : Tensor{};
      convolutions[i - first] = operands(link, x, place);
    }
    if (may_flatten_ && last == links_.size()) shape = {shape[0], shape[1] * shape[2] * shape[3]};
    Tensor y = Tensor::empty(shape, DType::f32, given.device());
    kernels::conv2d_relu_pool(std::span(convolutions).first(last - first), y, links_[first]->conv_.stream());
    for (std::size_t i = first; i < last; ++i) {  // behind all that may fail
      ConvReluPool& link = *links_[i];
      link.conv_.keep(link.conv_.x_, convolutions[i - first].x);
      link.pool_.keep(link.pool_.argmax_, convolutions[i - first].place);
    }
    ReLU& relu = links_[last - 1]->relu_;
    relu.keep(relu.y_, y);
    return y;
  }

  Tensor backward_links(std::size_t first, std::size_t last, const Tensor& given) {
    ReLU& relu = links_[last - 1]->relu_;
    const Tensor dy = relu.check_gradient(given, relu.kept(relu.y_).shape());
    relu.consume(relu.y_);
    ForEach<kernels::Conv2dReluPool> convolutions;
    ForEach<kernels::Conv2dReluPoolGradients> gradients;
    for (std::size_t i = first; i < last; ++i) {
      ConvReluPool& link = *links_[i];
      convolutions[i - first] = operands(link, link.conv_.consume(link.conv_.x_), link.pool_.consume(link.pool_.argmax_));
    }
    for (std::size_t i = first; i < last; ++i) {
      Conv2d& conv = links_[i]->conv_;
      auto [dweight, add_weight] = conv.weight_.grad_target();
      auto [dbias, add_bias] = conv.bias_.defined() ? conv.bias_.grad_target() : Parameter::GradTarget{};
      gradients[i - first] = {dweight, dbias, {add_weight, add_bias}};
    }
    Conv2d& conv = links_[first]->conv_;
    const Tensor& x = convolutions[0].x;
    Tensor dx = conv.input_grad() ? Tensor::empty(x.shape(), DType::f32, x.device()) : Tensor{};
    kernels::conv2d_relu_pool_backward(std::span(convolutions).first(last - first), dy, std::span(gradients).first(last - first),
                                       dx, conv.stream());
    return dx;
  }

  std::vector<std::unique_ptr<ConvReluPool>> links_;
  bool may_flatten_ = false;
  bool together_ = false;  // what the forward did that the next backward belongs to
};

/// Dropout is applied where the ReLU's result lies, whose zeros then stand for what was dropped too.
class Stage::LinearReluDropout final : public Stage {
 public:
  LinearReluDropout(Linear& linear, ReLU& relu, Dropout& dropout)
      : linear_(linear), relu_(relu), dropout_(dropout), linear_and_relu_(linear, relu) {}

  Tensor forward(const Tensor& x) override {
    Tensor y = linear_and_relu_.forward(x);
    dropout_.note_use();
    const std::optional<RandomStream> mask = dropout_.keep_mask(y.shape());
    if (mask) kernels::dropout(y, dropout_.p(), *mask, y, dropout_.stream());
    return y;
  }

  Tensor backward(const Tensor& given) override {
    const Tensor dy = dropout_.check_gradient(given, dropout_.kept(dropout_.kept_).shape);
    const std::optional<RandomStream> mask = dropout_.consume(dropout_.kept_).mask;
    if (!mask) return linear_.backward(relu_.backward(dy));
    const Tensor y = relu_.consume(relu_.y_);
    Tensor gradient = Tensor::empty(y.shape(), y.dtype(), y.device());
    kernels::dropout(dy, dropout_.p(), *mask, gradient, dropout_.stream());
    kernels::relu_backward(y, gradient, gradient, relu_.stream());
    return linear_.backward(gradient);
  }

 private:
  Linear& linear_;
  ReLU& relu_;
  Dropout& dropout_;
  WithRelu linear_and_relu_;
};

namespace {

/// The layer at `i` if there is one of this class. Classes derived from it may compute something else, so only the class itself
/// is joined with others.
template <class Layer>
Layer* layer_at(std::span<Module* const> layers, std::size_t i) {
  if (i >= layers.size()) return nullptr;
  Module& layer = *layers[i];
  return typeid(layer) == typeid(Layer) ? static_cast<Layer*>(&layer) : nullptr;
}

}  // namespace

std::vector<std::unique_ptr<Stage>> Stage::of(std::span<Module* const> layers) {
  std::vector<std::unique_ptr<Stage>> stages;
  ConvReluPools* pools = nullptr;  // the last stage, if it can take another convolution
  for (std::size_t i = 0; i < layers.size();) {
    Module& layer = *layers[i];
    Conv2d* const conv = layer_at<Conv2d>(layers, i);
    Linear* const linear = layer_at<Linear>(layers, i);
    Dropout* const dropout_after = layer_at<Dropout>(layers, i + 2);
    ReLU *const relu = layer_at<ReLU>(layers, i), *const relu_next = layer_at<ReLU>(layers, i + 1);
    MaxPool2d *const pool_next = layer_at<MaxPool2d>(layers, i + 1), *const pool_after = layer_at<MaxPool2d>(layers, i + 2);
    if (conv && relu_next && pool_after) {
      if (!pools || pools->full()) stages.push_back(std::unique_ptr<Stage>(pools = new ConvReluPools));
      pools->add(*conv, *relu_next, *pool_after);
      i += 3;
      continue;
    }
    pools = nullptr;
    if (linear && relu_next && dropout_after) {
      stages.push_back(std::make_unique<LinearReluDropout>(*linear, *relu_next, *dropout_after));
      i += 3;
    } else if (relu && pool_next && i > 0) {  // the first layer may have to stop its gradient, which the other needs
      stages.push_back(std::make_unique<WithRelu>(*pool_next, *relu));
      i += 2;
    } else if (relu_next && !pool_after && WithRelu::applies(layer)) {
      stages.push_back(std::make_unique<WithRelu>(layer, *relu_next));
      i += 2;
    } else {
      stages.push_back(std::make_unique<Alone>(layer));
      i += 1;
    }
  }
  return stages;
}

}  // namespace gpucnn
