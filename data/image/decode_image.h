#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/data/image/resize_image.h>

namespace gpucnn {

/// The most pixels that an image may have before it is resized: PIL's MAX_IMAGE_PIXELS.
inline constexpr std::int64_t kMaxImagePixels = 89'478'485;

/// The largest file that is read as an image: 512 MiB.
inline constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 29;

/// A PNG or JPEG image, told apart by its first bytes -> u8 [1, C, H, W] on the CPU, where C is `channels`: 3 (red, green, blue) or
/// 1 (grey). It is what PIL's `Image.open(file).convert("RGB")`, or "L", gives:
///
/// - A grey image has equal colours. Colours become grey by (19595 R + 38470 G + 7471 B + 32768) >> 16.
/// - A palette gives its colours. Of 16 bits the upper 8 are taken. Transparency is dropped. Gamma and colour profiles do not
/// count.
/// - The inks of a JPEG (CMYK, YCCK) are taken as inverted, as Adobe stores them.
/// - Unlike in PIL, an image is upright: a JPEG is turned as its Exif orientation, 1 to 8, says.
/// - Unlike in PIL, 16 bits of grey are the upper 8, too.
///
/// Throws `DataError` that names `name` for what is no such image, is cut short or damaged, or has no pixel or more than
/// `kMaxImagePixels`. Sizes are checked before memory is allocated; texts and profiles are never unpacked. What TurboJPEG warns of
/// is damage. An image of the most pixels takes up to 1 GiB while it is decoded. Throws `std::invalid_argument` for other channels.
GPUCNN_API Tensor decode_image(std::span<const std::byte> bytes, int channels = 3, const std::string& name = "image");

/// The same from a file. A file of more than `kMaxImageBytes`, or that cannot be read, is a `DataError`.
GPUCNN_API Tensor load_image(const std::filesystem::path& file, int channels = 3);

/// The same, brought to a size as ImageFolder does it: u8 [1, C, size.height, size.width]. Throws `std::invalid_argument` for a
/// wrong option, too.
GPUCNN_API Tensor load_image(const std::filesystem::path& file, int channels, const ResizeOptions& resize);

}  // namespace gpucnn
