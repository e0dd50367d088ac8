#include <gpucnn/layers/stage.h>

#include <initializer_list>
#include <optional>
#include <type_traits>
#include <typeinfo>

#include <gpucnn/kernels/conv2d_relu_pool.h>
#include <gpucnn/kernels/dropout.h>
#include <gpucnn/kernels/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/max_pool2d.h>
#include <gpucnn/layers/relu.h>

namespace gpucnn {

class Stage::Alone final : public Stage {
 public:
  explicit Alone(Module& layer) : layer_(layer) {}
  Tensor forward(const Tensor& x) override { return layer_(x); }
  Tensor backward(const Tensor& dy) override { return layer_.backward(dy); }

 private:
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

/// One pass where a kernel has one, else the convolution, then the pooling and ReLU.
class Stage::ConvReluPool final : public Stage {
 public:
  ConvReluPool(Conv2d& conv, ReLU& relu, MaxPool2d& pool) : conv_(conv), relu_(relu), pool_(pool), pool_and_relu_(pool, relu) {}

  Tensor forward(const Tensor& x) override {
    joined_ = kernels::conv2d_relu_pool_serves(conv_.options_, pool_.pool_, x.device());
    if (!joined_) return pool_and_relu_.forward(conv_(x));
    for (Module* layer : std::initializer_list<Module*>{&conv_, &relu_, &pool_}) layer->note_use();
    const Shape convolved = conv_.output_shape(x.shape()), shape = pool_.output_shape(convolved);
    Tensor y = Tensor::empty(shape, DType::f32, x.device());
    Tensor place = conv_.keeps() ? Tensor::empty(shape, DType::u8, x.device()) : Tensor{};
    kernels::conv2d_relu_pool(x, conv_.weight_.value(), conv_.bias_.defined() ? conv_.bias_.value() : Tensor{}, y, place, weights_,
                              conv_.stream());
    conv_.keep(conv_.x_, x);
    pool_.keep(pool_.argmax_, place);
    if (pool_.keeps()) pool_.x_shape_ = convolved;
    relu_.keep(relu_.y_, y);
    return y;
  }

  Tensor backward(const Tensor& given) override {
    if (!joined_) return conv_.backward(pool_and_relu_.backward(given));
    const Tensor dy = relu_.check_gradient(given, relu_.kept(relu_.y_).shape());
    relu_.consume(relu_.y_);
    const Tensor place = pool_.consume(pool_.argmax_), x = conv_.consume(conv_.x_);
    auto [dweight, add_weight] = conv_.weight_.grad_target();
    auto [dbias, add_bias] = conv_.bias_.defined() ? conv_.bias_.grad_target() : Parameter::GradTarget{};
    Tensor dx = conv_.input_grad() ? Tensor::empty(x.shape(), DType::f32, x.device()) : Tensor{};
    kernels::conv2d_relu_pool_backward(x, conv_.weight_.value(), dy, place, {add_weight, add_bias}, dweight, dbias, dx,
                                       conv_.stream());
    return dx;
  }

 private:
  Conv2d& conv_;
  ReLU& relu_;
  MaxPool2d& pool_;
  WithRelu pool_and_relu_;
  kernels::Conv2dReluPoolWeights weights_;
  bool joined_ = false;  // what the last forward did
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

std::vector<std::unique_ptr<Stage>> Stage::of(std::span<Module* const> layers) {
  std::vector<std::unique_ptr<Stage>> stages;
  // Classes derived from these layers may compute something else, so only the classes themselves are joined.
  const auto at = [layers]<class Layer>(std::size_t i, std::type_identity<Layer>) -> Layer* {
    return i < layers.size() && typeid(*layers[i]) == typeid(Layer) ? static_cast<Layer*>(layers[i]) : nullptr;
  };
  constexpr std::type_identity<Conv2d> kConv;
  constexpr std::type_identity<ReLU> kRelu;
  constexpr std::type_identity<MaxPool2d> kPool;
  constexpr std::type_identity<Linear> kLinear;
  constexpr std::type_identity<Dropout> kDropout;
  for (std::size_t i = 0; i < layers.size();) {
    Module& layer = *layers[i];
    Conv2d* const conv = at(i, kConv);
    Linear* const linear = at(i, kLinear);
    Dropout* const dropout_after = at(i + 2, kDropout);
    ReLU *const relu = at(i, kRelu), *const relu_next = at(i + 1, kRelu);
    MaxPool2d *const pool_next = at(i + 1, kPool), *const pool_after = at(i + 2, kPool);
    if (conv && relu_next && pool_after) {
      stages.push_back(std::make_unique<ConvReluPool>(*conv, *relu_next, *pool_after));
      i += 3;
    } else if (linear && relu_next && dropout_after) {
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
