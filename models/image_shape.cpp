#include <gpucnn/models/image_shape.h>

#include <cstdint>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

ImageShape image_shape(std::string_view model, const Shape& image, int smallest) {
  if (image.rank() != 3) {
    throw std::invalid_argument(formatted("{}: expects the shape of an image, [C, H, W], got {}", model, image.string()));
  }
  constexpr std::int64_t kMaxExtent = 16384;
  const auto within = [](std::int64_t value, std::int64_t min) { return value >= min && value <= kMaxExtent; };
  if (!within(image[0], 1) || !within(image[1], smallest) || !within(image[2], smallest)) {
    throw std::invalid_argument(formatted("{}: expects images from [1, {}, {}] to [{}, {}, {}], got {}", model, smallest, smallest,
                                          kMaxExtent, kMaxExtent, kMaxExtent, image.string()));
  }
  return {static_cast<int>(image[0]), static_cast<int>(image[1]), static_cast<int>(image[2])};
}

}  // namespace gpucnn
