#pragma once

#include <string_view>

#include <gpucnn/core/export.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/tensorboard/summary_writer.h>

namespace gpucnn {

/// What TensorBoard shows of a run, as `FitOptions::on_epoch` may add it. Scalars are loss, accuracy, learning rate and images a
/// second. Each parameter has a histogram; a first convolution that sees 1 or 3 channels has a picture of its filters. The step is
/// the epoch. All of it is on the disk when the call returns. `judged` says which images judge: tags are "loss/test", or
/// "loss/validation".
///
///     SummaryWriter writer("runs/mine");
///     fit(…, {.on_epoch = [&](const EpochResult& epoch) { add_epoch(writer, epoch, model); }});
GPUCNN_API void add_epoch(SummaryWriter& writer, const EpochResult& epoch, Module& model, std::string_view judged = "test");

}  // namespace gpucnn
