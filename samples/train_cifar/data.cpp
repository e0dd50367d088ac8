#include "data.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "common/exit_code.h"

using namespace gpucnn;

namespace {

OpenedDataset open_folder(const Options& options) try {
  return open_dataset(options.data,
                      {.limit = options.limit, .image_size = options.image_size, .skip_damaged = options.skip_damaged});
} catch (const std::invalid_argument& error) {  // an option that is not for this kind of folder, or images of several sizes
  const std::string what = error.what();
  const bool needs_size = what.find("resize") != std::string::npos || what.find("image_size") != std::string::npos;
  throw UsageError(fmt::format("--data: {}{}", what, needs_size ? " (--image-size)" : ""));
}

/// Files are read and decoded while a step is made, a few batches ahead, which may be large; what lies in memory needs nobody to
/// fetch it.
int workers(const Dataset& dataset, const Options& options) {
  constexpr int kMaxWorkers = 4;
  return dynamic_cast<const TensorDataset*>(&dataset) ? 0 : std::min(options.threads, kMaxWorkers);
}

/// BatchNorm has no spread to divide by in a batch of one image, which a whole epoch would end in.
bool is_last_alone(const Dataset& dataset, std::int64_t batch_size) {
  return dataset.size() > batch_size && dataset.size() % batch_size == 1;
}

}  // namespace

Precision choose_precision(const Options& options, Device device, const std::string& why) {
  const Precision precision = parse_precision(options.precision);
  try {
    require_precision(precision, device);
  } catch (const DeviceError& error) {
    throw DeviceError(fmt::format("{} ({}); --precision fp32 always can", error.what(), why));
  }
  return precision;
}

OpenedDataset load_data(const Options& options) {
  if (!options.data.empty()) return open_folder(options);
  constexpr std::int64_t kTrain = 10'000, kTest = 2'000;
  const std::int64_t limit = options.limit.value_or(kTrain);
  DatasetSplits shapes = make_shapes(std::min(kTrain, limit), std::min(kTest, limit));
  return {.name = "drawn shapes",
          .train = std::make_shared<const TensorDataset>(std::move(shapes.train)),
          .test = std::make_shared<const TensorDataset>(std::move(shapes.test)),
          .class_names = std::move(shapes.class_names),
          .normalize = {{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}}};  // CIFAR-10's: a network of one takes the other
}

std::shared_ptr<const Dataset> on_device(const std::shared_ptr<const Dataset>& dataset, Device device) {
  const auto* tensors = dynamic_cast<const TensorDataset*>(dataset.get());
  return tensors ? std::make_shared<const TensorDataset>(tensors->to(device)) : dataset;
}

DataLoaderOptions train_options(const Options& options, const OpenedDataset& data, Device device) {
  return {.batch_size = options.batch_size,
          .shuffle = true,
          .drop_last = is_last_alone(*data.train, options.batch_size),
          .seed = options.seed,
          .normalize = data.normalize,
          .crop_padding = options.augment ? 4 : 0,
          .flip = options.augment,
          .device = device,
          .num_workers = workers(*data.train, options),
          .prefetch_factor = 1};
}

DataLoaderOptions test_options(const Options& options, const OpenedDataset& data, Device device) {
  const int num_workers = workers(*data.test, options);
  return {.batch_size = num_workers > 0 ? options.batch_size : 512,
          .normalize = data.normalize,
          .device = device,
          .num_workers = num_workers,
          .prefetch_factor = 1};
}
