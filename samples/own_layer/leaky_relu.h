#pragma once

#include <gpucnn/gpucnn.h>

/// PyTorch's LeakyReLU: y = x where x > 0, otherwise slope * x. A layer of one's own that works on the CPU and, by a kernel of its
/// own, on a GPU, where a Trainer captures it with the rest of a step. In fp32 and tf32.
class LeakyReLU : public gpucnn::Module {
 public:
  explicit LeakyReLU(float slope = 0.01F) : slope_(slope) {}

  gpucnn::Shape output_shape(const gpucnn::Shape& x) const override { return x; }

 protected:
  gpucnn::Tensor forward(const gpucnn::Tensor& x, gpucnn::Context& context) const override;
  gpucnn::Tensor gradients(const gpucnn::Tensor& dy, gpucnn::Context& context) override;

 private:
  float slope_;
};
