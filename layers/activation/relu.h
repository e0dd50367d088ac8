#pragma once

#include <gpucnn/layers/module.h>

namespace gpucnn {

/// y = max(x, 0), of any shape.
class GPUCNN_API ReLU : public Module {
 public:
  Shape output_shape(const Shape& x) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  friend class Stage;
  Tensor y_;  // kept for backward
};

}  // namespace gpucnn
