#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/train/metrics.h>

namespace gpucnn {

/// Judges a model on a loader's batches, epoch after epoch. Ranks judge together, each its part of every batch. Holds references.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  /// What `evaluate` gives for the batches of an epoch; none if `stop` said so behind one of them.
  virtual std::optional<Metrics> operator()(const std::function<bool()>& stop) = 0;

  /// Batches that are recorded as CUDA graphs where model and dataset lie on one GPU; elsewhere one call after the other.
  static std::unique_ptr<Evaluator> of(Module& model, Loss& loss, DataLoader& loader, const Distributed* distributed = nullptr);
  /// The first kind, null elsewhere. In builds with CUDA only.
  static std::unique_ptr<Evaluator> captured(Module& model, Loss& loss, DataLoader& loader);
};

}  // namespace gpucnn
