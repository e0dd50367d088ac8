#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Coefficients of one Muon update of a matrix, as `torch.optim.Muon`.
struct MuonStep {
  double lr;            ///< >= 0 and finite in f32
  double lr_ratio;      ///< >= 0 and finite in f32: how much faster a matrix of this shape learns
  double weight_decay;  ///< >= 0 and finite in f32
  double momentum;      ///< >= 0 and finite in f32
  bool nesterov;        ///< looks a step ahead
  int group = 0;        ///< of the parameters: whose numbers of StepState a captured step takes
};

/// The first part of an update, before the direction is made orthogonal:
///   momentum_buffer = momentum_buffer + (1 - momentum) * (dweight - momentum_buffer)
///   direction = nesterov ? dweight + momentum * (momentum_buffer - dweight) : momentum_buffer
///
/// dweight, momentum_buffer, direction: f32 of one shape, each in memory of its own. Throws `std::invalid_argument` for a
/// coefficient outside its bounds. On the CPU a momentum below 2^-126 becomes 0. In a captured step on a GPU the momentum is
/// StepState's of the group.
GPUCNN_API void muon_direction(const Tensor& dweight, const MuonStep& step, Tensor& momentum_buffer, Tensor& direction,
                               Stream& stream);

/// The last part:
///   weight = weight * (1 - lr * weight_decay) - lr * lr_ratio * direction
///
/// direction, weight: f32 of one shape, each in memory of its own. Throws as above. In a captured step on a GPU lr is StepState's
/// of the group.
GPUCNN_API void muon_update(const Tensor& direction, const MuonStep& step, Tensor& weight, Stream& stream);

}  // namespace gpucnn::kernels
