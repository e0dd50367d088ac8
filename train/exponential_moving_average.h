#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/state_dict.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

struct ExponentialMovingAverageOptions {
  double decay = 0.999;  ///< in [0, 1]: what is kept of the average in an update
};

/// The average of a model's weights and buffers over its updates, which often judges better than the weights of the last one:
/// Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992). As PyTorch's `AveragedModel(model,
/// multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)`:
///   average = decay * average + (1 - decay) * model; the first update copies.
/// Buffers of whole numbers, as num_batches_tracked, are averaged in f32, and what is behind the point is cut off. What is frozen
/// stays as it is, bit for bit.
///
///     ExponentialMovingAverage ema(model, {.decay = 0.99});
///     ...
///     optimizer.step();
///     ema.update();
///     ...
///     {
///       const ExponentialMovingAverage::Applied averaged(ema);
///       model.predict(x);  // with the averages
///     }  // the model has its own weights again
///
/// `fit`, Trainer and TrainStep update it: see StepOptions. A step whose loss is not finite is not averaged. Refers to the model,
/// which must stay where it is, but may move to another device. One thread at a time.
class GPUCNN_API ExponentialMovingAverage {
 public:
  /// Until the first update the average is what the model is now. Throws `std::invalid_argument` unless decay is in [0, 1], and for
  /// a model without parameters or with a buffer of bf16.
  explicit ExponentialMovingAverage(Module& model, ExponentialMovingAverageOptions options = {});
  ~ExponentialMovingAverage();
  ExponentialMovingAverage(const ExponentialMovingAverage&) = delete;
  ExponentialMovingAverage& operator=(const ExponentialMovingAverage&) = delete;

  /// Takes the model's weights and buffers in, without waiting for the device. Throws as `prepare`.
  void update();
  /// Does what may fail in an update: moves the averages to the model's device. Throws `std::logic_error` while an Applied lives,
  /// or if the model has other tensors than it had.
  void prepare();

  /// How many updates there were. Waits for the device.
  std::int64_t n_averaged() const;
  double decay() const noexcept { return decay_; }
  const Module& model() const noexcept { return *model_; }

  /// While one lives, the model has the averages. One at a time; it must not outlive the average, and the model must not learn
  /// meanwhile.
  class GPUCNN_API Applied {
   public:
    /// Throws as `prepare`.
    explicit Applied(ExponentialMovingAverage& average);
    ~Applied();
    Applied(const Applied&) = delete;
    Applied& operator=(const Applied&) = delete;

   private:
    ExponentialMovingAverage& average_;
    std::vector<Tensor> own_;  // the model's own values
  };

  /// Gives `model` the averages: this one for good, or another with the same names and shapes, on any device. Throws
  /// `std::invalid_argument` if they are not the same.
  void copy_to(Module& model);

  /// For another run to go on with, under the names of PyTorch's AveragedModel: `n_averaged`, i64 [], and the averages as
  /// `module.features.0.weight`. All are copies.
  StateDict state_dict();
  /// Copies it in. Throws `std::invalid_argument`, and changes nothing, unless names, shapes and dtypes are those of
  /// `state_dict()`.
  void load_state_dict(const StateDict& state);

 private:
  void find_model();
  StateDict averages();

  Module* model_;
  double decay_;
  Tensor n_averaged_;
  Tensor weights_;                                  // of all parameters, with the gaps of the model's arena
  std::vector<Tensor> buffers_;                     // in the order of Module::buffers
  Tensor memory_;                                   // of the model's parameters, when it was last looked at
  std::vector<std::pair<Tensor, Tensor>> tensors_;  // pieces of the model, and of the average; neighbours in memory are one
  bool applied_ = false;
};

}  // namespace gpucnn
