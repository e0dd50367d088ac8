#pragma once

#include <string_view>

#include <gpucnn/core/shape.h>

namespace gpucnn {

struct ImageShape {
  int channels, height, width;
};

/// The numbers of [C, H, W]. Throws `std::invalid_argument` that names the model unless `image` has three of them, C is at least 1,
/// and H and W are `smallest` to 16384, so that an int counts what is made of them.
ImageShape image_shape(std::string_view model, const Shape& image, int smallest);

}  // namespace gpucnn
