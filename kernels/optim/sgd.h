#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Coefficients of one update of stochastic gradient descent, as `torch.optim.SGD`.
struct SgdStep {
  double lr;              ///< >= 0 and finite in f32
  double momentum;        ///< >= 0 and finite in f32
  double dampening;       ///< finite in f32; 0 with nesterov
  double weight_decay;    ///< >= 0 and finite in f32
  bool nesterov;          ///< only with momentum > 0
  bool first;             ///< whether `velocity` holds nothing yet
  int group = 0;          ///< of the parameters: whose numbers of StepState a captured step takes
  bool maximize = false;  ///< takes -dweight for dweight
};

/// PyTorch's SGD:
///   g = (maximize ? -dweight : dweight) + weight_decay * weight
///   with momentum: velocity = first ? g : momentum * velocity + (1 - dampening) * g
///                  g = nesterov ? g + momentum * velocity : velocity
///   weight -= lr * g
///
/// dweight, weight, velocity: f32 of one shape, each in memory of its own. If momentum is 0, velocity is not used and may be
/// undefined. Throws `std::invalid_argument` for a coefficient outside its bounds. One pass over memory.
///
/// Weights are PyTorch's but for rounding, also where numbers are subnormal, below 2^-126. On the CPU a subnormal velocity becomes
/// 0 if no weight shows it. In a captured step on a GPU lr is StepState's of the group, and so is the momentum if there is a
/// velocity. `first` holds for its first update only.
GPUCNN_API void sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity, Stream& stream);

}  // namespace gpucnn::kernels
