#pragma once

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// y = max(x, 0), of any shape.
class GPUCNN_API ReLU : public Module {
 public:
  Shape output_shape(const Shape& x) const override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
};

}  // namespace gpucnn
