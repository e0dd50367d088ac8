#pragma once

#include <span>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// The name that `wanted` may have been meant for: the first of those that differ least from it, in two letters at most and in
/// fewer than half of its own; null without one. Letters differ where one is another, is missing or is too much: Levenshtein
/// (1966).
GPUCNN_API const std::string* near_name(std::string_view wanted, std::span<const std::string> names);

}  // namespace gpucnn
