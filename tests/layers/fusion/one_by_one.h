#pragma once

#include <string>
#include <utility>
#include <vector>

#include <gpucnn/layers/containers/sequential.h>

#include "layers/layers.h"

namespace gpucnn {

/// What a model gives: y, and the gradients of x and of the parameters.
struct Result {
  std::vector<float> y, dx, grads;
};

inline Result run(Module& model, const Tensor& x, unsigned seed) {
  const Tensor y = model(x);
  const Tensor dx = model.backward(random_tensor(y.shape(), seed, x.device()));
  return {values(y), values(dx), all_grads(model)};
}

/// Runs the layers of a Sequential one by one, outside it: nothing is joined.
struct OneByOne : Module {
  Sequential layers;
  explicit OneByOne(Sequential list) : layers(std::move(list)) {}
  Shape output_shape(const Shape& x) const override { return shape_of(layers, x); }
  Tensor forward(const Tensor& x, Context& context) const override {
    Tensor y = x;
    for (std::size_t i = 0; i < layers.size(); ++i) y = layers.at(std::to_string(i))(y, context);
    return y;
  }
  Tensor gradients(const Tensor& dy, Context& context) override {
    Tensor gradient = dy;
    for (std::size_t i = layers.size(); i > 0; --i) gradient = layers.at(std::to_string(i - 1)).backward(gradient, context);
    return gradient;
  }
  void members(Members& m) override { m("layers", layers); }
};

}  // namespace gpucnn
