#include <cstdlib>
#include <span>

#include <gpucnn/core/error.h>
#include <gpucnn/data/image/image_reader.h>

#include "image_seeds.h"

void fuzz::decode_every_way(std::string_view bytes) {
  constexpr std::int64_t kFewPixels = 1 << 16;
  const std::string name = "image";
  const gpucnn::EncodedImage image{std::as_bytes(std::span(bytes)), name, kFewPixels};
  const int channels = bytes.size() % 2 == 0 ? 3 : 1;
  const gpucnn::Pixels pixels = gpucnn::decode_pixels(image, channels);
  unsigned long long sum = 0;
  for (std::size_t i = 0; i < pixels.bytes(); ++i) sum += pixels.values[i];
  if (pixels.channels != channels || sum > 255 * pixels.bytes()) std::abort();
  // What can be decoded whole can be decoded resized.
  std::uint8_t resized[3 * 5 * 4];
  try {
    gpucnn::decode_resized(image, channels, {.size = {5, 4}}, resized);
    gpucnn::decode_resized(image, channels, {.size = {4, 5}, .resize = 6}, resized);
  } catch (const gpucnn::DataError&) {
    std::abort();
  }
}
