#pragma once

#include <memory>
#include <span>
#include <vector>

#include <gpucnn/core/device.h>
#include <gpucnn/layers/fusion/stage.h>

namespace gpucnn {

/// The stages of these layers on `device`, in order.
std::vector<std::unique_ptr<Stage>> fuse(std::span<Module* const> layers, Device device);

}  // namespace gpucnn
