#pragma once

#include <memory>

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/plan_cache.h>

namespace gpucnn {

/// 2-d convolution: x: [N, in_channels, H, W] -> y: [N, out_channels, Ho, Wo], as PyTorch's Conv2d (zero padding).
/// Parameters `weight`: [out_channels, in_channels / groups, kH, kW], `bias`: [out_channels], both uniform in ±1 / sqrt(fan_in)
/// with fan_in = in_channels / groups * kH * kW: He et al., "Delving deep into rectifiers" (2015), with a = sqrt(5), PyTorch's
/// default.
class GPUCNN_API Conv2d : public Module {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds, and for `Padding2d::same` with a stride.
  Conv2d(int in_channels, int out_channels, Conv2dOptions options);

  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }
  /// With numbers in place of `Padding2d::same`.
  const Conv2dOptions& options() const noexcept { return options_; }
  int out_channels() const noexcept { return out_channels_; }

  /// For containers that join layers: activation(conv2d(x)) in this layer's part of a call, `context`, of the x that
  /// `context.operand` gives. Keeps nothing.
  Tensor compute(const Tensor& x, Activation epilogue, Context& context) const;
  /// For these too, of operands: adds the gradients of the parameters, and returns that of x if it is wanted, from that of
  /// conv2d(x). With an activation `before` that made x, whose backward reads its y: the gradient of what it was given. With an
  /// `addend`, of what reaches x by another way: that of both.
  Tensor differentiate(const Tensor& x, const Tensor& dy, const Activation& before, Context& context, const Tensor& addend = {});

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<Conv2d>(in_channels_, out_channels_, options_); }

 private:
  PlanCache<kernels::Conv2dPlan>::Lease plan(const Shape& x, const Context& context) const;

  int in_channels_, out_channels_;
  Conv2dOptions options_;
  Parameter weight_, bias_;
  PlanCache<kernels::Conv2dPlan> plans_;
};

}  // namespace gpucnn
