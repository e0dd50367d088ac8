#pragma once

#include <memory>
#include <span>
#include <vector>

#include <gpucnn/layers/fusion/stage.h>

namespace gpucnn {

/// The stages of these layers, in order.
std::vector<std::unique_ptr<Stage>> fuse(std::span<Module* const> layers);

/// The same without the pattern kSeparableConv, for where a backward follows.
std::vector<std::unique_ptr<Stage>> fuse_without_separable_conv(std::span<Module* const> layers);

/// The same without the patterns kConvReluPool and kLinearHead, for where a step has no loss to give.
std::vector<std::unique_ptr<Stage>> fuse_without_heads(std::span<Module* const> layers);

/// The same without the pattern kConvReluPool, for where it does not pay.
std::vector<std::unique_ptr<Stage>> fuse_without_conv_relu_pool(std::span<Module* const> layers);

}  // namespace gpucnn
