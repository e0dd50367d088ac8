#pragma once

#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/size2.h>

namespace gpucnn {

/// The pixels along a side that `resize_images` takes at most: far more of them weigh less than the 2^-22 to which weights are
/// rounded.
inline constexpr int kMaxSideToResize = 1 << 20;

/// How an image comes to a size, in torchvision's words for PIL images.
struct ResizeOptions {
  /// Of the result: 1 to 16,384 on each side.
  Size2 size = 224;
  /// Empty: Resize((height, width)), which stretches the image to `size`. Else Resize(resize), which brings the shorter side to so
  /// many pixels and the longer one to int(resize * longer / shorter), then CenterCrop(size), whose corner is at
  /// round((extent - size) / 2), halves to even. `resize` is then from the larger side of `size` to 16,384.
  std::optional<int> resize = {};

  bool operator==(const ResizeOptions&) const = default;
};

/// images: u8 [N, C, H, W] on the CPU -> u8 [N, C, size.height, size.width]. C is at most 16,384, H and W `kMaxSideToResize`.
///
/// Bilinear with antialiasing: PIL's `Image.resize` with BILINEAR, and thus torchvision's Resize of PIL images. First along rows,
/// then along columns, each sum rounded to u8, as Pillow 11 does to the bit; Pillow 13 takes columns first for some shapes, which
/// makes a level's difference. Along an axis let scale be the input's extent by the output's, and s =
/// max(scale, 1). Output x weighs the inputs i of [floor(c - s + 0.5), floor(c + s + 0.5)) by max(0, 1 - |i + 0.5 - c| / s), where
/// c = (x + 0.5) scale. Weights are divided by their sum and rounded to multiples of 2^-22. An axis that keeps its extent is
/// copied.
///
/// Throws `std::invalid_argument` for other tensors, an image without pixels or with too many, and a wrong option.
GPUCNN_API Tensor resize_images(const Tensor& images, const ResizeOptions& options);

}  // namespace gpucnn
