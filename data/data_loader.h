#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/batch_part.h>
#include <gpucnn/data/dataset.h>
#include <gpucnn/data/normalize.h>
#include <gpucnn/data/sampling/weighted_random_sampler.h>
#include <gpucnn/kernels/augment/mix_options.h>

namespace gpucnn {

class Prefetcher;

/// How a DataLoader walks a dataset: PyTorch's words and defaults, then what torchvision's transforms do.
struct DataLoaderOptions {
  std::int64_t batch_size = 1;              ///< examples in a batch, >= 1
  bool shuffle = false;                     ///< a new order in every epoch
  bool drop_last = false;                   ///< leave out a last batch of fewer examples
  std::uint64_t seed = 0;                   ///< of the order and all augmentations
  std::optional<Normalize> normalize = {};  ///< applied last
  int crop_padding = 0;                     ///< zeros around an image before a random crop of its own size, >= 0
  bool flip = false;                        ///< mirror left to right with probability 1/2
  bool alternating_flip = false;            ///< instead: mirror in every second epoch, each image from the first or the second on
  std::optional<RandomResizedCropOptions> random_resized_crop = {};  ///< instead of crop_padding
  ColorJitterOptions color_jitter = {};                              ///< of images of 1 or 3 channels
  int cutout = 0;                     ///< the side of a square that becomes 0 behind all else, at most that of an image; 0: none
  MixOptions mix = {};                ///< mixes the images and labels of a batch: mixup, cutmix
  std::optional<Device> device = {};  ///< where batches are delivered; empty: where the dataset is
  /// Draws the examples of an epoch; not with shuffle.
  std::optional<WeightedRandomSampler> sampler = {};
  /// Threads that fetch batches ahead of the walk, 0 to 1,024; 0: a batch is fetched when the walk comes to it. For a dataset on
  /// the CPU; one on a GPU has nothing to wait for, and gets none.
  int num_workers = 0;
  int prefetch_factor = 2;  ///< batches that each worker may be ahead, 1 to 1,024
  /// Of every batch only this part is loaded, with the bits that it has in the whole one. Sizes and orders stay those of whole
  /// batches. Where images are mixed the one before the part is loaded, too.
  BatchPart part = {};
};

/// Delivers a dataset in batches: inputs f32 [N, C, H, W] from 0 to 1 (then normalised), labels i32 [N] or targets f32 [N, …]. A
/// range to be walked any number of times; each `begin()` starts a new epoch with its own order and augmentations, which depend on
/// the seed and the epoch's number only. Images are cropped, mirrored, changed in colour, normalised, cut out and mixed in this
/// order: see kernels/image/image_batch.h and kernels/augment/mix.h. Mixed labels are probabilities, f32 [N, mix.num_classes], as
/// CrossEntropyLoss takes them:
///
///     for (auto [inputs, labels] : DataLoader(TensorDataset{images, labels}, {.batch_size = 128, .shuffle = true})) { … }
///
/// Shuffling is Fisher and Yates' method: for i from size - 1 down to 1, position i is swapped with position
/// RandomStream(seed, Purpose::shuffle, 0, epoch).below(i, i + 1). A walk over a TensorDataset without workers
/// allocates nothing once blocks of its sizes are free. One thread at a time.
///
/// With `num_workers` several threads call the dataset's `transformed` at once, which a dataset of one's own must allow. Batches
/// come in the same order with the same bits, and what a worker throws comes at its batch. A batch that threw is fetched again if
/// the walk goes on. The workers end when the last batch is taken, at the next `begin()`, with the loader, or when it is moved;
/// that waits for the batches that they are fetching.
class GPUCNN_API DataLoader {
 public:
  class Iterator;

  /// Throws `std::invalid_argument` for a null or a wrong option.
  explicit DataLoader(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options = {});

  /// The same, for any dataset by value.
  template <std::derived_from<Dataset> D>
  explicit DataLoader(D dataset, const DataLoaderOptions& options = {})
      : DataLoader(std::shared_ptr<const Dataset>(std::make_shared<const D>(std::move(dataset))), options) {}

  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;
  DataLoader& operator=(DataLoader&&) noexcept;

  /// Starts an epoch and loads its first batch. It ends the walk before it, whose iterators throw `std::logic_error` from now on.
  /// So does this, if the loader was moved from.
  Iterator begin();
  /// The same from the epoch's batch number `batch` on, as a resumed run needs it: later batches are those of a whole walk. Throws
  /// `std::invalid_argument` unless `batch` is in [0, size()].
  Iterator begin(std::int64_t batch);
  std::default_sentinel_t end() const noexcept { return {}; }

  /// The number of batches in an epoch.
  std::int64_t size() const noexcept;

  /// The number of the epoch that the next `begin()` starts: 0 at first.
  std::uint64_t epoch() const noexcept { return epoch_; }
  void set_epoch(std::uint64_t epoch) noexcept { epoch_ = epoch; }

  /// The numbers of the examples in the order of the epoch that was begun last.
  std::span<const std::int64_t> order() const noexcept { return order_; }

  /// Starts an epoch as `begin()` does, but loads nothing: for whoever gathers the batches of `order()` by other means.
  void start_epoch();
  /// Draws the order of the epoch that the next `begin()` starts, so that it need not then.
  void prepare_epoch();
  /// What happens in this epoch to the images of the batch whose first is number `first` of `order()`, before they are mixed.
  /// Refers to the loader.
  kernels::ImageTransform transform(std::int64_t first) const;

  /// Throws `std::logic_error` if the loader was moved from.
  const Dataset& dataset() const;
  const DataLoaderOptions& options() const noexcept { return options_; }

 private:
  /// The workers of a walk. They belong to no other loader: one that is moved loses them, and what it was moved to has none.
  struct Ahead {
    Ahead() = default;
    Ahead(const Ahead&) noexcept {}
    Ahead(Ahead&& other) noexcept { other.prefetcher.reset(); }
    Ahead& operator=(Ahead&& other) noexcept {
      prefetcher.reset();
      other.prefetcher.reset();
      return *this;
    }
    std::shared_ptr<Prefetcher> prefetcher;
  };

  /// A copy is what the workers of a walk read: nobody else changes it.
  DataLoader(const DataLoader&);

  void draw_order(std::uint64_t epoch, std::vector<std::int64_t>& order);
  Batch load(std::int64_t batch);
  /// The batch where the dataset is: this loader's part of it.
  Batch fetch(std::int64_t batch) const;
  /// The images from number `first` of `order()` on, not mixed.
  Batch fetch_images(std::int64_t first, std::int64_t count, Stream& stream) const;
  /// Images `begin` on of the `whole` from number `first` on, mixed as in all of these.
  Batch fetch_mixed(std::int64_t first, std::int64_t whole, std::int64_t begin, std::int64_t count, Stream& stream) const;
  Batch fetch_ahead(std::int64_t batch);

  std::shared_ptr<const Dataset> dataset_;
  DataLoaderOptions options_;
  std::int64_t examples_;
  std::vector<float> mean_, std_;
  std::vector<double> scratch_;                 // the sampler's
  std::vector<std::int64_t> order_, prepared_;  // `prepared_`: of prepared_epoch_, or empty
  std::optional<std::uint64_t> prepared_epoch_;
  std::uint64_t epoch_ = 0, walk_ = 0, walked_epoch_ = 0;
  Ahead ahead_;
};

/// A place in an epoch. Holds its batch until it moves on; the loader must stay where it is meanwhile.
class GPUCNN_API DataLoader::Iterator {
 public:
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;

  const Batch& operator*() const noexcept { return batch_; }
  const Batch* operator->() const noexcept { return &batch_; }

  /// Gives its batch back and loads the next.
  Iterator& operator++();
  void operator++(int) { ++*this; }

  bool operator==(std::default_sentinel_t) const noexcept { return next_ > loader_->size(); }

 private:
  friend class DataLoader;
  Iterator(DataLoader& loader, std::int64_t batch) : loader_(&loader), walk_(loader.walk_), next_(batch) { ++*this; }

  DataLoader* loader_;
  std::uint64_t walk_;
  std::int64_t next_;  // the batch to load next; one more than there are at the end
  Batch batch_;
};

inline DataLoader::Iterator DataLoader::begin() { return begin(0); }

}  // namespace gpucnn
