#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/step_tail.h>
#include <gpucnn/kernels/optim/adam.h>

namespace gpucnn::kernels::cuda {

/// `adam` without AMSGrad in a captured step, whose kernel also adds the slices that `tail` has, reports, and moves the state on.
/// The gradients are written too, and have the bits that add_slices would have given. Closes the tail.
void adam_tail(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, StepTail& tail, Stream& stream);

}  // namespace gpucnn::kernels::cuda
