#pragma once

#include <memory>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// y = x, of any shape: takes the place of a layer, as PyTorch's Identity.
class GPUCNN_API Identity : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }

 protected:
  Tensor forward(const Tensor& x, Context&) const override { return x; }
  Tensor gradients(const Tensor& dy, Context& context) override { return context.input_grad() ? dy : Tensor{}; }
  int add_to(GraphBuilder&, int x) const override { return x; }
  std::unique_ptr<Module> copy() const override { return std::make_unique<Identity>(); }
};

}  // namespace gpucnn
