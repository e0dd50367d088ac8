#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gpucnn/core/tensor.h>

namespace gpucnn::report {

/// Pixels of red, green and blue, row by row.
struct Picture {
  int height = 0, width = 0;
  std::vector<std::uint8_t> rgb;

  static Picture of(int picture_height, int picture_width) {
    return {picture_height, picture_width,
            std::vector<std::uint8_t>(static_cast<std::size_t>(picture_height) * static_cast<std::size_t>(picture_width) * 3)};
  }
  std::uint8_t* pixel(int y, int x) { return rgb.data() + offset(y, x); }
  const std::uint8_t* pixel(int y, int x) const { return rgb.data() + offset(y, x); }

 private:
  std::size_t offset(int y, int x) const {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) * 3;
  }
};

/// An image of a dataset, u8 or f32 from 0 to 1, [1, C, H, W] on the CPU with 1 or 3 channels, whose longer side is brought near
/// `side`. The pixels of larger images are averaged, those of smaller ones repeated a whole number of times.
Picture picture_of(const Tensor& image, int side);

/// The picture with a map over it, f32 [1, h, w] from 0 to 1: from transparent blue through yellow to red, as heat maps are.
Picture with_heat(const Picture& picture, const Tensor& map);

/// The filters of a first convolution, f32 [K, C, h, w] on the CPU with 1 or 3 channels, in rows of at most `columns`. Each is
/// scaled to its own largest number; 0 is the middle grey.
Picture filter_sheet(const Tensor& weight, int columns);

/// Each pixel `times` times, in each direction.
Picture enlarged(const Picture& picture, int times);

/// A PNG file.
std::string png_of(const Picture& picture);
/// As the `src` of an <img>: a PNG file in a data: URL.
std::string data_url(const Picture& picture);

}  // namespace gpucnn::report
