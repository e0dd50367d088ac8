#pragma once

#include <gpucnn/train/trainer.h>

namespace gpucnn {

/// How a Trainer does it.
class Trainer::Impl {
 public:
  virtual ~Impl() = default;
  virtual void start_epoch(std::int64_t batch) = 0;
  virtual std::int64_t step(std::int64_t at_most) = 0;
  virtual Metrics take() = 0;
  virtual Metrics finish() = 0;
  virtual std::int64_t steps() const noexcept = 0;

  /// Steps that are captured as CUDA graphs; null where model and dataset do not lie on one GPU. In builds with CUDA only.
  static std::unique_ptr<Impl> captured(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader,
                                        const StepOptions& options);
};

}  // namespace gpucnn
