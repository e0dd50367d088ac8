#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>
#include <gpucnn/layers/fusion/stage.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

namespace gpucnn {

/// The stage of a BatchNorm2d and the ReLU behind it, if it is not null.
std::unique_ptr<AddingStage> batch_norm_stage(BatchNorm2d& norm, ActivationLayer* relu);

}  // namespace gpucnn
