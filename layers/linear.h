#pragma once

#include <gpucnn/kernels/linear/linear.h>
#include <gpucnn/layers/module.h>
#include <gpucnn/layers/plan_cache.h>

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
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  void members(Members& m) override;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }

 protected:
  bool set_relu_follows(bool on) override;

 private:
  kernels::LinearPlan& plan(const Shape& x);

  int in_features_, out_features_;
  LinearOptions options_;
  Parameter weight_, bias_;
  PlanCache<kernels::LinearPlan> plans_;
  Tensor x_;  // kept for backward
  bool relu_follows_ = false;
};

}  // namespace gpucnn
