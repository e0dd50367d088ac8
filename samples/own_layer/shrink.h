#pragma once

#include <gpucnn/gpucnn.h>

/// PyTorch's Hardshrink: y = 0 where |x| <= lambda, otherwise x. A layer of one's own that works on the CPU and, by a kernel of its
/// own, on a GPU, where a Trainer captures it with the rest of a step. In fp32 and tf32.
class Shrink : public gpucnn::Module {
 public:
  explicit Shrink(float lambda = 0.5F) : lambda_(lambda) {}

  gpucnn::Shape output_shape(const gpucnn::Shape& x) const override { return x; }

 protected:
  gpucnn::Tensor forward(const gpucnn::Tensor& x, gpucnn::Context& context) const override;
  gpucnn::Tensor gradients(const gpucnn::Tensor& dy, gpucnn::Context& context) override;

 private:
  float lambda_;
};
