#pragma once

#include <optional>
#include <string>

#include <gpucnn/layers/module/module.h>
#include <gpucnn/train/report/picture.h>

namespace gpucnn::report {

/// The filters of a model's first convolution as a picture, and the name of its weight.
struct FirstFilters {
  std::string layer;
  Picture sheet;
};

/// Nothing for a model whose first convolution does not see 1 or 3 channels, sees single points, or has windows that are no
/// pictures.
std::optional<FirstFilters> first_filters(Module& model);

}  // namespace gpucnn::report
