#pragma once

#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

namespace gpucnn {

/// Batch normalisation by the mean and variance of all ranks' images, as PyTorch's SyncBatchNorm: in training, y, gradients and
/// running statistics are those that one process would get for the whole batch. A rank may have no image in a batch. Otherwise it
/// is a BatchNorm2d, under the same names.
///
/// Each forward and each backward waits for the other ranks: on GPUs of their own (Distributed::gpu) the GPUs do, not the host.
class GPUCNN_API SyncBatchNorm : public BatchNorm2d {
 public:
  SyncBatchNorm(int num_features, const Distributed& distributed, BatchNorm2dOptions options = {});

 protected:
  std::unique_ptr<Module> copy() const override;

 private:
  int num_features_;
  Distributed distributed_;
};

/// Makes every BatchNorm2d of a model do what a SyncBatchNorm does; returns how many there are. It stays a BatchNorm2d, and still
/// runs in one pass with its neighbours. In a run of one nothing changes.
GPUCNN_API int convert_sync_batchnorm(Module& model, const Distributed& distributed);

}  // namespace gpucnn
