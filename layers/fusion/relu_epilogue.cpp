#include <utility>

#include <gpucnn/kernels/activation/relu.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/max_pool2d.h>

namespace gpucnn {
namespace {

/// The ReLU is the epilogue of the layer before it: it is applied to each block of the result while that is in cache.
template <class Layer>
class ReluEpilogue final : public Stage {
 public:
  ReluEpilogue(Layer& layer, ReLU& relu) : layer_(layer), relu_(relu) {}

  Tensor forward(const Tensor& x, Context& context) override {
    Context layer = context.enter(layer_);
    context.enter(relu_);
    Tensor y = layer_.compute(x, {Activation::relu}, layer);
    if (context.keeps()) {
      x_ = x;
      y_ = y;
    }
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    const Tensor x = std::exchange(x_, {}), y = std::exchange(y_, {});
    Context layer = context.enter(layer_);
    Tensor gradient = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    kernels::relu_backward(y, dy, gradient, context.stream());
    return layer_.differentiate(x, gradient, layer);
  }

 private:
  Layer& layer_;
  ReLU& relu_;
  Tensor x_, y_;
};

}  // namespace

const Pattern kReluEpilogue{
    .device = std::nullopt,
    // A ReLU before a MaxPool2d goes with that one: it then has fewer elements.
    .match = [](std::span<Module* const> layers) -> std::size_t {
      const bool takes_epilogue = layer_at<Conv2d>(layers, 0) || layer_at<Linear>(layers, 0);
      return takes_epilogue && layer_at<ReLU>(layers, 1) && !layer_at<MaxPool2d>(layers, 2) ? 2 : 0;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      ReLU& relu = *layer_at<ReLU>(layers, 1);
      if (Conv2d* conv = layer_at<Conv2d>(layers, 0)) return std::make_unique<ReluEpilogue<Conv2d>>(*conv, relu);
      return std::make_unique<ReluEpilogue<Linear>>(*layer_at<Linear>(layers, 0), relu);
    },
};

}  // namespace gpucnn
