#pragma once

#include <optional>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>
#include <gpucnn/train/exponential_moving_average.h>

namespace gpucnn {

class Distributed;

/// What a training step does between backward and update, and behind the update. Nothing of it waits for the device.
struct StepOptions {
  /// First: brings each element of the gradients into [-clip_grad_value, clip_grad_value], > 0. See clip_grad_value.
  std::optional<double> clip_grad_value = {};
  /// Then: the 2-norm of all gradients becomes clip_grad_norm at most, > 0. See clip_grad_norm.
  std::optional<double> clip_grad_norm = {};
  /// Of the model: takes its weights and buffers in behind the update. It must live as long as what trains. Null: none.
  ExponentialMovingAverage* ema = nullptr;
  /// The processes that train together, each on its part of every batch (DataLoaderOptions::part): losses and gradients are those
  /// of the whole batch, and all else is done alike by all of them. It must live as long as what trains. Null: this one alone.
  const Distributed* distributed = nullptr;
};

/// How a step's gradients change the parameters: clipping, the optimizer's step, the average. Holds references.
class GPUCNN_API ParameterUpdate {
 public:
  /// Throws `std::invalid_argument` for a limit that is not > 0, for the average of another model, or if the optimizer has another
  /// parameter of a name than the model, which is to learn: of a layer that was replaced since, or of another model.
  ParameterUpdate(Module& model, Optimizer& optimizer, const StepOptions& options);

  /// Before a step: what may fail. Throws as ExponentialMovingAverage::prepare, and for a layer that was replaced, as above.
  void prepare();
  /// Whether it is Adam's update alone, with nothing before or behind it.
  bool is_adam_alone() const;
  /// Behind backward. Clips the gradients of the optimizer's parameters.
  void operator()();

 private:
  void find_parameters();

  Module& model_;
  Optimizer& optimizer_;
  StepOptions options_;
  const void* memory_ = nullptr;    // of the model's parameters when they were last looked at
  std::vector<Parameter> clipped_;  // empty without clipping
};

}  // namespace gpucnn
