#include "data.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/exit_code.h"
#include "common/stop_signal.h"
#include "common/terminal/waiting_line.h"

using namespace gpucnn;

namespace {

/// Throws `Interrupted` where a signal asks for the end.
OpenedDataset open_folder(const Options& options, WaitingLine& waiting, const std::shared_ptr<const ReaderGroup>& group) try {
  const auto on_image = [&](std::int64_t done, std::int64_t all) {
    if (stop_signal() != 0) throw Interrupted();
    waiting.count(done, all);
  };
  return open_dataset(options.data, {.limit = options.limit,
                                     .image_size = options.image_size,
                                     .skip_damaged = options.skip_damaged,
                                     .on_image = on_image,
                                     .group = group});
} catch (const std::invalid_argument& error) {
  throw_usage(error);
}

/// Files are read and decoded while a step is made, a few batches ahead, which may be large; what lies in memory needs nobody to
/// fetch it.
int workers(const Dataset& dataset, const Options& options) {
  constexpr int kMaxWorkers = 4;
  const auto* subset = dynamic_cast<const Subset*>(&dataset);
  const Dataset& whole = subset ? subset->dataset() : dataset;
  return dynamic_cast<const TensorDataset*>(&whole) ? 0 : std::min(options.threads, kMaxWorkers);
}

/// BatchNorm has no spread to divide by in a batch of one image, which a whole epoch would end in.
bool is_last_alone(const Dataset& dataset, std::int64_t batch_size) {
  return dataset.size() > batch_size && dataset.size() % batch_size == 1;
}

OpenedDataset draw_shapes(const Options& options) {
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

/// Keeps a part of the training images for validation, at least one and not all.
void hold_out(RunData& data, double fraction, std::uint64_t seed) {
  const std::int64_t size = data.train->size();
  if (size < 2) throw UsageError(fmt::format("--validation-split: there is nothing to split in {} training images", size));
  const auto wanted = static_cast<std::int64_t>(std::llround(fraction * static_cast<double>(size)));
  const std::int64_t held_out = std::clamp<std::int64_t>(wanted, 1, size - 1);
  std::vector<Subset> parts = random_split(data.train, {size - held_out, held_out}, seed);
  data.train = std::make_shared<const Subset>(std::move(parts[0]));
  data.validation = std::make_shared<const Subset>(std::move(parts[1]));
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

void throw_usage(const std::invalid_argument& error) {
  const std::string what = error.what();
  const bool needs_size = what.find("resize") != std::string::npos || what.find("image_size") != std::string::npos;
  throw UsageError(fmt::format("--data: {}{}", what, needs_size ? " (--image-size)" : ""));
}

RunData load_data(const Options& options, Device device, const std::shared_ptr<const ReaderGroup>& group) {
  WaitingLine waiting(options.data.empty() ? "drawing the images" : "reading the images", options.quiet);
  RunData data{options.data.empty() ? draw_shapes(options) : open_folder(options, waiting, group), nullptr};
  data.train = on_device(data.train, device);
  data.test = on_device(data.test, device);
  if (options.validation_split) hold_out(data, *options.validation_split, options.seed);
  return data;
}

DataLoaderOptions train_options(const Options& options, const RunData& data, Device device) {
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

DataLoaderOptions test_options(const Options& options, const RunData& data, Device device) {
  const int num_workers = std::max(workers(*data.test, options), workers(*data.judged(), options));
  return {.batch_size = num_workers > 0 ? options.batch_size : 512,
          .normalize = data.normalize,
          .device = device,
          .num_workers = num_workers,
          .prefetch_factor = 1};
}
