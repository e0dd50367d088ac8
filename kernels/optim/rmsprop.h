#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Coefficients of one RMSprop update, as `torch.optim.RMSprop`.
struct RmspropStep {
  double lr;              ///< >= 0 and finite in f32
  double alpha;           ///< in [0, 1]
  double eps;             ///< >= 0 and finite in f32
  double weight_decay;    ///< >= 0 and finite in f32
  double momentum;        ///< >= 0 and finite in f32
  int group = 0;          ///< of the parameters: whose numbers of StepState a captured step takes
  bool centered = false;  ///< divides by the deviation from the mean
  bool maximize = false;  ///< takes -dweight for dweight
};

/// What RMSprop keeps, zeros at first: f32 of the weight's shape. The mean may be undefined unless centered, the momentum if its
/// coefficient is 0.
struct RmspropState {
  Tensor square_avg, momentum_buffer, grad_avg;
};

/// Tieleman and Hinton, "Lecture 6.5 - RMSProp" (2012), centered as Graves, "Generating sequences with recurrent neural networks"
/// (2013), in PyTorch's order of operations:
///   g = (maximize ? -dweight : dweight) + weight_decay * weight
///   square_avg = alpha * square_avg + (1 - alpha) * g * g
///   centered: grad_avg = grad_avg + (1 - alpha) * (g - grad_avg)
///   d = sqrt(centered ? square_avg - grad_avg * grad_avg : square_avg) + eps
///   momentum = 0: weight -= lr * g / d
///   otherwise:    momentum_buffer = momentum * momentum_buffer + g / d;  weight -= lr * momentum_buffer
///
/// dweight and weight: f32 of one shape; each tensor in memory of its own. Throws `std::invalid_argument` for a coefficient outside
/// its bounds. One pass over memory. Where rounding makes the centered difference negative, the weight becomes NaN, as PyTorch's.
///
/// Weights are PyTorch's but for rounding, also where numbers are subnormal, below 2^-126. On the CPU a subnormal number of the
/// state becomes 0 if no weight shows it. In a captured step on a GPU lr is StepState's of the group, and so is the momentum if
/// there is a momentum_buffer.
GPUCNN_API void rmsprop(const Tensor& dweight, const RmspropStep& step, Tensor& weight, RmspropState& state, Stream& stream);

}  // namespace gpucnn::kernels
