#include <gpucnn/data/image/pixels.h>

#include <algorithm>
#include <new>

#include <gpucnn/core/host/host_memory.h>

namespace gpucnn {
namespace {

/// From this size on the host is asked for its room first: it would promise memory that it has not.
constexpr std::size_t kLarge = std::size_t{1} << 26;

}  // namespace

Pixels Pixels::empty(int height, int width, int channels) {
  Pixels image{height, width, channels, nullptr};
  if (image.bytes() >= kLarge && image.bytes() > host_memory::free_bytes()) host_memory::fail(image.bytes());
  try {
    image.values.reset(new std::uint8_t[image.bytes()]);  // not zeroed
  } catch (const std::bad_alloc&) {
    host_memory::fail(image.bytes());
  }
  return image;
}

Pixels with_channels(Pixels image, int channels) {
  if (image.channels == channels) return image;
  Pixels result = Pixels::empty(image.height, image.width, channels);
  const std::size_t count = static_cast<std::size_t>(image.height) * static_cast<std::size_t>(image.width);
  const std::uint8_t* from = image.values.get();
  std::uint8_t* to = result.values.get();
  for (std::size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      to[i] = static_cast<std::uint8_t>((19595U * from[3 * i] + 38470U * from[3 * i + 1] + 7471U * from[3 * i + 2] + 32768U) >> 16);
    } else {
      std::fill_n(to + 3 * i, 3, from[i]);
    }
  }
  return result;
}

Pixels upright(Pixels image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool turned = orientation >= 5;  // rows become columns
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const int C = image.channels;
  Pixels result = Pixels::empty(turned ? image.width : image.height, turned ? image.height : image.width, C);
  for (int y = 0; y < result.height; ++y) {
    std::uint8_t* to = result.row(y);
    for (int x = 0; x < result.width; ++x, to += C) {
      const int row = turned ? x : y, column = turned ? y : x;
      const std::uint8_t* from = image.row(from_bottom ? image.height - 1 - row : row);
      std::copy_n(from + std::ptrdiff_t{from_right ? image.width - 1 - column : column} * C, C, to);
    }
  }
  return result;
}

}  // namespace gpucnn
