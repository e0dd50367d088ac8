#pragma once

#include <filesystem>

#include <gpucnn/core/export.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>
#include <gpucnn/optim/schedules/lr_scheduler.h>
#include <gpucnn/train/exponential_moving_average.h>
#include <gpucnn/train/run_position.h>

namespace gpucnn {

/// What a training is made of, as far as its numbers change from step to step. A null is a part that the training has not.
struct RunParts {
  Module& model;
  Optimizer& optimizer;
  DataLoader* train = nullptr;
  DataLoader* test = nullptr;
  LRScheduler* scheduler = nullptr;
  ExponentialMovingAverage* ema = nullptr;
};

/// Writes all that a run needs to go on bit for bit: weights and buffers, the seed and step of the random numbers, the optimizer's
/// state, rates and momenta, the schedule, the average, the loaders' epochs, and `position`, all in one safetensors file:
///
///     fit(model, optimizer, loss, train, test, {.epochs = 10, .scheduler = &schedule, .save = [&](const RunPosition& position) {
///           save_checkpoint("state.safetensors", {model, optimizer, &train, &test, &schedule}, position);
///         }});
///
/// Tensors are named `model.features.0.weight`, `optimizer.exp_avg.features.0.weight` and `ema.module.features.0.weight`; numbers
/// are texts of the file's metadata, under names of their own. `metadata` stands beside them. Options are not kept: who resumes
/// makes the parts as they were made.
///
/// The file appears whole or not at all. Throws as `save_safetensors`, and `std::invalid_argument` if `metadata` has a name that
/// the checkpoint uses.
GPUCNN_API void save_checkpoint(const std::filesystem::path& path, const RunParts& run, const RunPosition& position,
                                const Metadata& metadata = {});

/// What `load_checkpoint` gives besides the state of the parts.
struct LoadedCheckpoint {
  RunPosition position;  ///< for FitOptions::start
  Metadata metadata;     ///< what was given to `save_checkpoint`
};

/// Puts the parts in the state that a checkpoint has, on any device. What runs on from there has the bits of a run that was never
/// stopped, on the same kind of device.
///
/// Throws `DataError` for a file that is damaged, is no checkpoint, or was written by a newer libgpucnn. Throws
/// `std::invalid_argument` if it is of other parts: another network, optimizer, schedule or average, or a loader with another seed,
/// batch size or number of examples. Nothing changes when it throws.
GPUCNN_API LoadedCheckpoint load_checkpoint(const std::filesystem::path& path, const RunParts& run);

}  // namespace gpucnn
