#pragma once

#include <filesystem>
#include <vector>

#include <gpucnn/data/image/decoders.h>
#include <gpucnn/data/image/resize_image.h>

namespace gpucnn {

/// The bytes of an image file. Throws `DataError`, also for more than `kMaxImageBytes`.
std::vector<std::byte> read_image_file(const std::filesystem::path& file);

/// `decode_image`, upright and with `channels`, before it becomes a tensor.
Pixels decode_pixels(const EncodedImage& image, int channels);

/// Decodes to `options.size` with `channels`, as decode_image and resize_images do one after the other, into `to`. A JPEG of which
/// twice the wanted pixels are left along both sides is divided by 2, 4 or 8 while it is decoded (TurboJPEG's scaling). That made
/// 1 level of difference on average in pictures with noise, and 4 at most. Throws as decode_image.
void decode_resized(const EncodedImage& image, int channels, const ResizeOptions& options, std::uint8_t* to);

}  // namespace gpucnn
