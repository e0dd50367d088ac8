#pragma once

#include <gpucnn/kernels/loss/elementwise_loss.h>
#include <gpucnn/layers/losses/device_copies.h>
#include <gpucnn/layers/losses/loss.h>

namespace gpucnn {

/// The base of losses that compare each element of the input with one of the targets, both f32 of one shape. A call throws
/// `std::invalid_argument` for anything else. PyTorch's reduction `none` is left out, because a Loss is one number. In Metrics no
/// image counts as right, for such targets are no classes.
class GPUCNN_API ElementwiseLoss : public Loss {
 public:
  Tensor prepare(const Tensor& input, const Tensor& targets) const override;
  bool is_sum() const override { return function_.reduction == Reduction::sum; }

 protected:
  explicit ElementwiseLoss(const kernels::ElementwiseLoss& function);
  Tensor forward(const Tensor& input, const Tensor& targets, Tensor& dinput) const override;

 private:
  kernels::ElementwiseLoss on(Device device) const;

  kernels::ElementwiseLoss function_;
  mutable DeviceCopies weight_, pos_weight_;
};

}  // namespace gpucnn
