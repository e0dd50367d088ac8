#pragma once

#include <cstdint>
#include <memory>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/sampling/subset.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/image/ordered_batch.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/train/captured/epoch_order.h>

namespace gpucnn {

/// A loader's batches, gathered on a GPU from a dataset that lies there, by kernels that may be recorded: the order lies at one
/// address. Refers to the loader.
class GpuBatches {
 public:
  /// Null unless the loader's dataset, or that of which it is a subset, lies on `device`, and the batches are wanted there. Null,
  /// too, if images of several ranks' parts are mixed.
  static std::unique_ptr<GpuBatches> of(DataLoader& loader, Device device);

  DataLoader& loader() const noexcept { return loader_; }
  bool has_epoch() const noexcept { return order_.defined(); }
  /// Begins an epoch. REQUIRES: all work with the order of the one before is done.
  void start_epoch();
  /// How many images the batch behind `first` images of the epoch has, on all ranks.
  std::int64_t images(std::int64_t first) const;

  /// This rank's part of a batch.
  struct Part {
    std::int64_t before, images;  ///< of the batch: those before the part, and the part's
    bool counts;                  ///< false where it has none: then it is one of another rank's
  };
  Part part(std::int64_t images) const;

  /// What a kernel needs to gather this rank's part of the batch of `images` behind `first` images; memory for it is made here.
  /// Labels are i32.
  kernels::OrderedBatch unfilled(std::int64_t images, std::int64_t first, DType dtype) const;
  /// Whether `unfilled` is all that there is to a batch: the labels are classes, and images are not mixed.
  bool are_plain() const;
  /// The same, gathered.
  Batch gather(std::int64_t images, std::int64_t first, Stream& stream) const;

  /// Throws what the loss throws for a label that it does not take; once asked, no batch need be looked at. `output`: of any batch.
  void check_labels(const Loss& loss, const Tensor& output, Stream& stream) const;

 private:
  GpuBatches(DataLoader& loader, const TensorDataset& dataset, const Subset* subset, Device device)
      : loader_(loader), dataset_(dataset), subset_(subset), device_(device), order_(device) {}
  Tensor labels_of_examples(Stream& stream) const;

  DataLoader& loader_;
  const TensorDataset& dataset_;
  const Subset* subset_;  // null: the loader's dataset is `dataset_`
  Device device_;
  EpochOrder order_;
};

}  // namespace gpucnn
