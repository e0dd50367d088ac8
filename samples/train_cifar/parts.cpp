#include "parts.h"

#include <stdexcept>

#include <fmt/format.h>

#include "common/exit_code.h"

using namespace gpucnn;

std::unique_ptr<Sequential> make_network(const Options& options, const RunData& data) {
  try {
    return make_model(options.model, data.train->image_shape(), static_cast<int>(data.class_names.size()), options.width);
  } catch (const std::invalid_argument& error) {  // images that are too small for it, or a width that it has not
    throw UsageError(fmt::format("--model: {}", error.what()));
  }
}

std::unique_ptr<Optimizer> make_optimizer(const Options& options, Module& model) {
  if (options.optimizer == "sgd")
    return std::make_unique<SGD>(model.parameters(),
                                 SGDOptions{.lr = options.lr, .momentum = 0.9, .weight_decay = options.weight_decay});
  if (options.optimizer == "adamw")
    return std::make_unique<AdamW>(model.parameters(), AdamWOptions{.lr = options.lr, .weight_decay = options.weight_decay});
  return std::make_unique<Adam>(model.parameters(), AdamOptions{.lr = options.lr, .weight_decay = options.weight_decay});
}

std::unique_ptr<LRScheduler> make_schedule(const Options& options, Optimizer& optimizer, const DataLoader& train) {
  if (options.schedule == "constant" || train.size() == 0) return nullptr;  // `fit` refuses the latter
  return std::make_unique<OneCycleLR>(
      optimizer, OneCycleLROptions{.max_lr = options.lr, .total_steps = options.epochs * train.size(), .cycle_momentum = false});
}
