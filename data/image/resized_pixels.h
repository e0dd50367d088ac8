#pragma once

#include <gpucnn/data/image/pixels.h>
#include <gpucnn/data/image/resize_image.h>

namespace gpucnn {

/// Throws `std::invalid_argument` that begins with `who`, unless the options are as ResizeOptions says.
void check_resize(const char* who, const ResizeOptions& options);

/// Where the result of `ResizeOptions` lies in the image that was resized to `whole`.
struct ResizePlan {
  Size2 whole = 0;
  int top = 0, left = 0;
};

/// For an image of this size, of 1 to `kMaxSideToResize` pixels on each side.
ResizePlan plan_resize(Size2 image, const ResizeOptions& options);

/// `resize_images` for one image of 1 to `kMaxSideToResize` pixels on each side; `image` may be a reduced copy, of which `plan` is
/// not made.
void resize_pixels(const std::uint8_t* image, Size2 size, int channels, const ResizePlan& plan, Size2 result, std::uint8_t* to);

}  // namespace gpucnn
