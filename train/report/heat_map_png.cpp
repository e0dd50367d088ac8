#include <gpucnn/train/report/heat_map_png.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/report/picture.h>

namespace gpucnn {
namespace {

constexpr int kMaxSide = 4096;

bool is_image(const Tensor& image) {
  return image.defined() && image.rank() == 4 && image.shape()[0] == 1 && (image.shape()[1] == 1 || image.shape()[1] == 3) &&
         image.numel() > 0 && (image.dtype() == DType::u8 || image.dtype() == DType::f32) && image.device() == Device::cpu();
}

}  // namespace

std::string heat_map_png(const Tensor& image, const Tensor& map, int side) {
  if (!is_image(image) || !map.defined() || map.rank() != 3 || map.shape()[0] != 1 || map.dtype() != DType::f32 ||
      map.numel() == 0 || map.device() != Device::cpu()) {
    throw std::invalid_argument(formatted(
        "heat_map_png: expects an image [1, C, H, W] on the CPU with 1 or 3 channels and an f32 map [1, h, w], got {} and {}",
        image.defined() ? image.shape().string() : "an undefined tensor",
        map.defined() ? map.shape().string() : "an undefined tensor"));
  }
  if (side < 1 || side > kMaxSide)
    throw std::invalid_argument(formatted("heat_map_png: side {} is not in 1 to {}", side, kMaxSide));
  return report::png_of(report::with_heat(report::picture_of(image, side), map));
}

}  // namespace gpucnn
