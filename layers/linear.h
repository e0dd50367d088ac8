#pragma once

#include <memory>

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/linear/linear.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/plan_cache.h>

namespace gpucnn {

/// Options of a Linear layer.
struct LinearOptions {
  bool bias = true;
};

/// y = x weight^T + bias: x: [N, in_features] -> y: [N, out_features], as PyTorch's Linear.
/// Parameters `weight`: [out_features, in_features], `bias`: [out_features], both uniform in ±1 / sqrt(in_features), PyTorch's
/// default.
class GPUCNN_API Linear : public Module {
 public:
  /// Throws `std::invalid_argument` unless both numbers are at least 1.
  Linear(int in_features, int out_features, LinearOptions options = {});

  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }

  /// For containers that join layers: activation(x weight^T + bias) in this layer's part of a call, `context`, of the x that
  /// `context.operand` gives. Keeps nothing.
  Tensor compute(const Tensor& x, Activation epilogue, Context& context) const;
  /// For these too, of operands: adds the gradients of the parameters, and returns that of x if it is wanted, from that of x
  /// weight^T + bias. With an activation `before` that made x, whose backward reads its y: the gradient of what it was given.
  Tensor differentiate(const Tensor& x, const Tensor& dy, const Activation& before, Context& context);

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<Linear>(in_features_, out_features_, options_); }

 private:
  PlanCache<kernels::LinearPlan>::Lease plan(const Shape& x, const Context& context) const;

  int in_features_, out_features_;
  LinearOptions options_;
  Parameter weight_, bias_;
  PlanCache<kernels::LinearPlan> plans_;
};

}  // namespace gpucnn
