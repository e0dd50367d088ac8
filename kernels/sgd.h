#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Coefficients of one update of stochastic gradient descent, as `torch.optim.SGD`.
struct SgdStep {
  double lr;
  double momentum;
  double dampening;
  double weight_decay;
  bool nesterov;
  bool first;  ///< whether `velocity` holds nothing yet
};

/// PyTorch's SGD:
///   g = dweight + weight_decay * weight
///   if momentum: velocity = first ? g : momentum * velocity + (1 - dampening) * g;  g = nesterov ? g + momentum * velocity :
///   velocity weight -= lr * g
/// dweight, weight, velocity: f32 of one shape; velocity may be undefined if momentum is 0. One pass over memory.
GPUCNN_API void sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity, Stream& stream);

}  // namespace gpucnn::kernels
