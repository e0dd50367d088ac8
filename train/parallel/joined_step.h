#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <gpucnn/core/tensor.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/train/metrics.h>
#include <gpucnn/train/parallel/batch_sums.h>
#include <gpucnn/train/parallel/gradient_buckets.h>

namespace gpucnn {

/// What the processes of a run tell each other in a training step: what it came to, and the gradients. Refers to model and run.
///
/// The gradient of a mean over the whole batch is the sum of those over the parts, each times its weight, by the whole's weight. A
/// part knows the whole's number of images, and nearly always that is the whole's weight, too. So it is divided by that before the
/// backward, and corrected behind it where images were ignored or have weights.
class JoinedStep {
 public:
  JoinedStep(Module& model, const Distributed& distributed)
      : distributed_(distributed),
        buckets_(model, [this](Tensor piece) { pieces_.push_back(distributed_.begin_all_reduce(std::move(piece))); }) {}

  /// The gradient of the output, and so all that the backward makes of it, times the part's share of a batch of `images`. Begins to
  /// add up what the step came to.
  void start(const Loss& loss, const BatchSums& own, std::int64_t images, Tensor& gradient);
  /// Runs the backward, and adds its gradients up meanwhile.
  void backward(const Tensor& gradient);
  /// What the step came to, on all processes.
  const BatchSums& finish(const Loss& loss);

  JoinedStep(const JoinedStep&) = delete;
  JoinedStep& operator=(const JoinedStep&) = delete;

 private:
  const Distributed& distributed_;
  GradientBuckets buckets_;
  std::vector<Distributed::Pending> pieces_;  // of the gradients
  BatchSums sums_;
  Distributed::Pending pending_;
  std::int64_t images_ = 0;
};

}  // namespace gpucnn
