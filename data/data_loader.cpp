#include <gpucnn/data/data_loader.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include <gpucnn/core/memory/host_vector.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/data/augment_rules.h>
#include <gpucnn/data/mixed_batch.h>
#include <gpucnn/data/prefetcher.h>
#include <gpucnn/data/sampling/shuffle.h>
#include <gpucnn/data/sampling/weighted_order.h>

namespace gpucnn {
namespace {

constexpr std::uint32_t kWeighted = 2;  // of the streams for shuffling: 0 is that of all examples, 1 that of random_split
constexpr int kMaxWorkers = 1024, kMaxPrefetchFactor = 1024;

void check_normalize(const Normalize& normalize, std::size_t channels) {
  const FloatEnvironment standard;  // what is no float is refused, and must not stop the program
  if (normalize.mean.size() != channels || normalize.std.size() != channels) {
    throw std::invalid_argument(formatted("DataLoader: images of {} channels, but normalize has {} values of mean and {} of std",
                                          channels, normalize.mean.size(), normalize.std.size()));
  }
  const auto usable = [](double value) { return std::isfinite(static_cast<float>(value)); };
  const auto positive = [&](double value) { return usable(value) && static_cast<float>(value) > 0; };
  if (!std::ranges::all_of(normalize.mean, usable) || !std::ranges::all_of(normalize.std, positive)) {
    throw std::invalid_argument(formatted("DataLoader: normalize needs finite means and stds > 0, got mean [{}] and std [{}]",
                                          joined(normalize.mean, ", "), joined(normalize.std, ", ")));
  }
}

void check_part(const BatchPart& part) {
  if (part.count >= 1 && part.index >= 0 && part.index < part.count) return;
  throw std::invalid_argument(
      formatted("DataLoader: part must be one of at least 1, numbered from 0, got number {} of {}", part.index, part.count));
}

/// The rows of both, one after the other.
Tensor stacked(const Tensor& first, const Tensor& second) {
  Tensor both = Tensor::empty(first.shape().with(0, first.dim(0) + second.dim(0)), first.dtype(), first.device());
  both.view(0, first.shape()).copy_from(first);
  both.view(first.numel(), second.shape()).copy_from(second);
  return both;
}

Tensor last_rows(const Tensor& all, std::int64_t rows) { return all.narrow(all.dim(0) - rows, rows); }

const Dataset& checked(const std::shared_ptr<const Dataset>& dataset, const DataLoaderOptions& options) {
  if (!dataset) throw std::invalid_argument("DataLoader: there is no dataset");
  if (options.batch_size < 1) {
    throw std::invalid_argument(formatted("DataLoader: batch_size must be >= 1, got {}", options.batch_size));
  }
  if (options.crop_padding < 0) {
    throw std::invalid_argument(formatted("DataLoader: crop_padding must be >= 0, got {}", options.crop_padding));
  }
  if (options.num_workers < 0 || options.num_workers > kMaxWorkers) {
    throw std::invalid_argument(
        formatted("DataLoader: num_workers must be from 0 to {}, got {}", kMaxWorkers, options.num_workers));
  }
  if (options.prefetch_factor < 1 || options.prefetch_factor > kMaxPrefetchFactor) {
    throw std::invalid_argument(
        formatted("DataLoader: prefetch_factor must be from 1 to {}, got {}", kMaxPrefetchFactor, options.prefetch_factor));
  }
  const Shape shape = dataset->image_shape();
  if (shape.rank() != 3) {
    throw std::invalid_argument(formatted("DataLoader: the dataset's images must be [C, H, W], got {}", shape.string()));
  }
  if (options.normalize) check_normalize(*options.normalize, static_cast<std::size_t>(shape[0]));
  check_augmentations(options, *dataset);
  const std::int64_t size = dataset->size();
  if (size < 0 || size > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument(formatted("DataLoader: the dataset's size must be from 0 to 2^32 - 1, got {}", size));
  }
  if (options.sampler) {
    if (options.shuffle) throw std::invalid_argument("DataLoader: a sampler draws its own order; leave out shuffle");
    check_sampler(*options.sampler, size);
  }
  if (options.device) options.device->require();
  check_part(options.part);
  return *dataset;
}

std::int64_t examples_in_epoch(const Dataset& dataset, const DataLoaderOptions& options) {
  return options.sampler ? options.sampler->num_samples : dataset.size();
}

}  // namespace

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options)
    : dataset_(std::move(dataset)),
      options_(options),
      examples_(examples_in_epoch(checked(dataset_, options_), options_)),
      order_(host_vector<std::int64_t>(examples_)) {
  if (options_.normalize) {
    const FloatEnvironment standard;
    mean_.assign(options_.normalize->mean.begin(), options_.normalize->mean.end());
    std_.assign(options_.normalize->std.begin(), options_.normalize->std.end());
  }
  if (options_.sampler) scratch_.resize(options_.sampler->weights.size());
}

DataLoader::DataLoader(const DataLoader&) = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;
DataLoader& DataLoader::operator=(DataLoader&&) noexcept = default;
DataLoader::~DataLoader() = default;

std::int64_t DataLoader::size() const noexcept {
  const std::int64_t full = examples_ / options_.batch_size;
  return options_.drop_last || examples_ % options_.batch_size == 0 ? full : full + 1;
}

const Dataset& DataLoader::dataset() const {
  if (!dataset_) throw std::logic_error("DataLoader: was moved from; use what it was moved to");
  return *dataset_;
}

DataLoader::Iterator DataLoader::begin(std::int64_t batch) {
  if (batch < 0 || batch > size()) {
    throw std::invalid_argument(formatted("DataLoader: an epoch has {} batches, got batch {} to begin at", size(), batch));
  }
  start_epoch();
  return {*this, batch};
}

void DataLoader::start_epoch() {
  static_cast<void>(dataset());
  ++walk_;
  ahead_.prefetcher.reset();
  walked_epoch_ = epoch_++;
  if (std::exchange(prepared_epoch_, std::nullopt) == walked_epoch_) {
    std::swap(order_, prepared_);
  } else {
    draw_order(walked_epoch_, order_);
  }
}

void DataLoader::prepare_epoch() {
  static_cast<void>(dataset());
  if (prepared_epoch_ == epoch_) return;
  if (prepared_.empty()) prepared_ = host_vector<std::int64_t>(examples_);
  prepared_epoch_.reset();  // the memory is another epoch's from here on
  draw_order(epoch_, prepared_);
  prepared_epoch_ = epoch_;
}

void DataLoader::draw_order(std::uint64_t epoch, std::vector<std::int64_t>& order) {
  if (options_.sampler) {
    return weighted_order(*options_.sampler, RandomStream(options_.seed, Purpose::shuffle, kWeighted, epoch), scratch_, order);
  }
  std::iota(order.begin(), order.end(), 0);
  if (options_.shuffle) shuffle(order, RandomStream(options_.seed, Purpose::shuffle, 0, epoch));
}

kernels::ImageTransform DataLoader::transform(std::int64_t first) const {
  return {.mean = mean_,
          .std = std_,
          .crop_padding = options_.crop_padding,
          .flip = options_.flip,
          .alternating_flip = options_.alternating_flip,
          .random_resized_crop = options_.random_resized_crop,
          .color_jitter = options_.color_jitter,
          .cutout = options_.cutout,
          .seed = options_.seed,
          .epoch = walked_epoch_,
          .first = first};
}

Batch DataLoader::fetch(std::int64_t batch) const {
  const std::int64_t first = batch * options_.batch_size;
  const std::int64_t whole = std::min(options_.batch_size, examples_ - first);
  const std::int64_t begin = options_.part.first(whole), count = options_.part.images(whole);
  Stream stream(dataset().device());
  if (options_.mix.any()) return fetch_mixed(first, whole, begin, count, stream);
  return fetch_images(first + begin, count, stream);
}

Batch DataLoader::fetch_images(std::int64_t first, std::int64_t count, Stream& stream) const {
  const std::span<const std::int64_t> indices(order_);
  return dataset().transformed(indices.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)), transform(first),
                               stream);
}

Batch DataLoader::fetch_mixed(std::int64_t first, std::int64_t whole, std::int64_t begin, std::int64_t count,
                              Stream& stream) const {
  Batch own = fetch_images(first + begin, count, stream);
  if (count < whole && count > 0) {
    const Batch before = fetch_images(first + (begin > 0 ? begin : whole) - 1, 1, stream);
    own = {stacked(before.inputs, own.inputs), stacked(before.labels, own.labels)};
  }
  check_classes(own.labels, options_.mix.num_classes, stream);
  const Batch all = mixed(own, options_.mix, transform(first).position(), stream);
  return {last_rows(all.inputs, count), last_rows(all.labels, count)};
}

Batch DataLoader::fetch_ahead(std::int64_t batch) {
  std::shared_ptr<Prefetcher>& prefetcher = ahead_.prefetcher;
  // Another place than the next, which a copy of an iterator may come to, gets workers of its own.
  if (!prefetcher || !prefetcher->is_here() || prefetcher->next_number() != batch) {
    prefetcher.reset();
    const std::shared_ptr<const DataLoader> walk(new DataLoader(*this));
    prefetcher = std::make_shared<Prefetcher>(options_.num_workers, std::int64_t{options_.num_workers} * options_.prefetch_factor,
                                              batch, size(), [walk](std::int64_t number) { return walk->fetch(number); });
  }
  try {
    Batch fetched = prefetcher->next();
    if (batch + 1 == size()) prefetcher.reset();
    return fetched;
  } catch (...) {
    prefetcher.reset();
    throw;
  }
}

Batch DataLoader::load(std::int64_t batch) {
  const bool ahead = options_.num_workers > 0 && dataset().device().kind == Device::Kind::cpu;
  Batch loaded = ahead ? fetch_ahead(batch) : fetch(batch);
  if (options_.device) loaded = {loaded.inputs.to(*options_.device), loaded.labels.to(*options_.device)};
  return loaded;
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  if (walk_ != loader_->walk_) throw std::logic_error("DataLoader: a later begin() has ended this walk");
  batch_ = {};  // so that its memory can serve the next
  if (next_ < loader_->size()) batch_ = loader_->load(next_);
  ++next_;
  return *this;
}

}  // namespace gpucnn
