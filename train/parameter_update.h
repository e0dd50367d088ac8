#pragma once

#include <optional>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>
#include <gpucnn/train/exponential_moving_average.h>

namespace gpucnn {

/// What a training step does between backward and update, and behind the update. Nothing of it waits for the device.
struct StepOptions {
  /// First: brings each element of the gradients into [-clip_grad_value, clip_grad_value], > 0. See clip_grad_value.
  std::optional<double> clip_grad_value = {};
  /// Then: the 2-norm of all gradients becomes clip_grad_norm at most, > 0. See clip_grad_norm.
  std::optional<double> clip_grad_norm = {};
  /// Of the model: takes its weights and buffers in behind the update. It must live as long as what trains. Null: none.
  ExponentialMovingAverage* ema = nullptr;
};

/// How a step's gradients change the parameters: clipping, the optimizer's step, the average. Holds references.
class GPUCNN_API ParameterUpdate {
 public:
  /// Throws `std::invalid_argument` for a limit that is not > 0, or the average of another model.
  ParameterUpdate(const Module& model, Optimizer& optimizer, const StepOptions& options);

  /// Before a step: what may fail of the average. Throws as ExponentialMovingAverage::prepare.
  void prepare();
  /// Behind backward. Clips the gradients of the optimizer's parameters.
  void operator()();

 private:
  Optimizer& optimizer_;
  StepOptions options_;
  std::vector<Parameter> clipped_;  // empty without clipping
};

}  // namespace gpucnn
