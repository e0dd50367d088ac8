#pragma once

#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/layers/module.h>
#include <gpucnn/layers/plan_cache.h>

namespace gpucnn {

/// 2-d convolution: x: [N, in_channels, H, W] -> y: [N, out_channels, Ho, Wo], as PyTorch's Conv2d (zero padding).
/// Parameters `weight`: [out_channels, in_channels / groups, kH, kW], `bias`: [out_channels], both uniform in ±1 / sqrt(fan_in)
/// with fan_in = in_channels / groups * kH * kW: He et al., "Delving deep into rectifiers" (2015), with a = sqrt(5), PyTorch's
/// default.
class GPUCNN_API Conv2d : public Module {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  Conv2d(int in_channels, int out_channels, Conv2dOptions options);

  Shape output_shape(const Shape& x) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  void members(Members& m) override;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }
  const Conv2dOptions& options() const noexcept { return options_; }

 protected:
  bool set_relu_follows(bool on) override;

 private:
  friend class Stage;
  kernels::Conv2dPlan& plan(const Shape& x);

  int in_channels_, out_channels_;
  Conv2dOptions options_;
  Parameter weight_, bias_;
  PlanCache<kernels::Conv2dPlan> plans_;
  Tensor x_;  // kept for backward
  bool relu_follows_ = false;
};

}  // namespace gpucnn
