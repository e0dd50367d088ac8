#pragma once

#include <string>
#include <vector>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/module/module.h>

#include "layers/layers.h"

namespace gpucnn {

/// body.0 is a Linear(4, 4), behind it a ReLU; then a Linear(4, 2) and a Scale.
struct Net : Module {
  Added<Sequential> block{Sequential{Linear(4, 4), ReLU()}};
  Linear fc{4, 2};
  Scale scale{2};

  Shape output_shape(const Shape& x) const override { return shape_of(scale, shape_of(fc, shape_of(block, x))); }
  Tensor forward(const Tensor& x, Context& context) const override { return scale(fc(block(x, context), context), context); }
  Tensor gradients(const Tensor& dy, Context& context) override {
    return block.backward(fc.backward(scale.backward(dy, context), context), context);
  }
  void members(Members& m) override {
    m("block", block);
    m("fc", fc);
    m("scale", scale);
  }
};

/// Two layers that share one weight.
struct Tied : Module {
  Scale first{3}, second{3};

  Tied() { second.weight = first.weight; }
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override { return second(first(x, context), context); }
  Tensor gradients(const Tensor& dy, Context& context) override { return first.backward(second.backward(dy, context), context); }
  void members(Members& m) override {
    m("first", first);
    m("second", second);
  }
};

inline const std::vector<std::string> kNetNames{"block.body.0.weight", "block.body.0.bias", "fc.weight", "fc.bias", "scale.weight"};

}  // namespace gpucnn
