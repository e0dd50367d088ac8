#include "training.h"

#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/exit_code.h"
#include "common/stop_signal.h"
#include "train_cifar/parts.h"
#include "train_cifar/ranks/readers.h"
#include "train_cifar/ranks/together.h"

using namespace gpucnn;

namespace {

DataLoaderOptions part_of(const Distributed& ranks, DataLoaderOptions options) {
  options.part = {ranks.rank(), ranks.size()};
  return options;
}

/// FNV-1a of some images and labels.
std::string digest_of(const Dataset& dataset) {
  constexpr std::int64_t kImages = 16;
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < kImages && i < dataset.size(); ++i) numbers.push_back(i * dataset.size() / kImages);
  std::uint64_t hash = 0xcbf29ce484222325;
  const Batch batch = dataset.get(numbers);
  for (const Tensor& tensor : {batch.inputs.to(Device::cpu()), batch.labels.to(Device::cpu())}) {
    const std::byte* const bytes = tensor.bytes();
    for (std::size_t i = 0; i < static_cast<std::size_t>(tensor.nbytes()); ++i) {
      hash = (hash ^ static_cast<std::uint64_t>(bytes[i])) * 0x100000001b3;
    }
  }
  return fmt::format("{:016x}", hash);
}

/// What tells data apart, the most telling first.
std::vector<std::pair<std::string, std::string>> traits_of(const RunData& data) {
  return {{"dataset", data.name},
          {"number of training images", std::to_string(data.train->size())},
          {"number of test images", std::to_string(data.test->size())},
          {"number of classes", std::to_string(data.class_names.size())},
          {"list of classes", fmt::format("{}", fmt::join(data.class_names, ", "))},
          {"shape of images", fmt::format("{}", fmt::join(data.train->image_shape(), ", "))},
          {"mean of images", fmt::format("{}", fmt::join(data.normalize.mean, ", "))},
          {"digest of some images", digest_of(*data.train) + digest_of(*data.test)}};
}

}  // namespace

Training::Training(const Options& options, const Distributed& ranks)
    : options_(options),
      ranks_(ranks),
      setup_(options, readers_of(ranks)),
      optimizer_(make_optimizer(options, *setup_.model)),
      train_(setup_.data.train, part_of(ranks, train_options(options, setup_.data, setup_.device))),
      judged_(setup_.data.judged(), part_of(ranks, test_options(options, setup_.data, setup_.device))),
      schedule_(make_schedule(options, *optimizer_, train_)),
      loss_({.label_smoothing = options.label_smoothing}) {
  if (ranks.size() > 1) traits_ = traits_of(setup_.data);
  if (options.sync_batch_norm) convert_sync_batchnorm(*setup_.model, ranks);
  if (options.ema) ema_.emplace(*setup_.model, ExponentialMovingAverageOptions{.decay = *options.ema});
  parts_.emplace(RunParts{.model = *setup_.model,
                          .optimizer = *optimizer_,
                          .train = &train_,
                          .test = &judged_,
                          .scheduler = schedule_.get(),
                          .ema = ema_ ? &*ema_ : nullptr});
}

void Training::require_same_data() const try {
  for (const auto& [noun, value] : traits_) ranks_.require_same(noun, value);
} catch (const Error& error) {
  throw UsageError(fmt::format("--data: {}", error.what()));
}

FitOptions Training::fit_options() {
  return {.epochs = options_.epochs,
          .patience = options_.early_stop,
          .stop = [] { return stop_signal() != 0; },
          .scheduler = schedule_.get(),
          .schedule_every = Every::step,
          .step = {.clip_grad_norm = options_.clip_grad_norm, .ema = parts_->ema, .distributed = &ranks_},
          .test_loss = &test_loss_};
}

FitResult Training::fit(const FitOptions& options) {
  FitResult result = gpucnn::fit(*setup_.model, *optimizer_, loss_, train_, judged_, options);
  if (result.stopped) signal_ = stop_signal_of(ranks_);
  return result;
}
