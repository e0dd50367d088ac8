#include <gpucnn/train/report/picture.h>

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <new>
#include <utility>

#include <gpucnn/layers/grad_cam.h>
#include <gpucnn/train/report/html_text.h>

namespace gpucnn::report {
namespace {

/// NaN is black.
std::uint8_t byte_of(double value) { return value > 0 ? static_cast<std::uint8_t>(std::lround(std::min(value, 255.0))) : 0; }

/// Element (c, y, x) of an image, which lies as [H, W, C], from 0 to 255.
double value_at(const Tensor& image, int c, int y, int x) {
  const auto i = (static_cast<std::int64_t>(y) * image.shape()[3] + x) * image.shape()[1] + c;
  return image.dtype() == DType::u8 ? double{static_cast<double>(image.data<std::uint8_t>()[i])}
                                    : 255.0 * double{image.data<float>()[i]};
}

/// The mean of a rectangle.
double mean_of(const Tensor& image, int c, std::pair<int, int> rows, std::pair<int, int> columns) {
  double sum = 0;
  for (int y = rows.first; y < rows.second; ++y) {
    for (int x = columns.first; x < columns.second; ++x) sum += value_at(image, c, y, x);
  }
  return sum / ((rows.second - rows.first) * (columns.second - columns.first));
}

/// The inputs that output `i` of `outputs` is the mean of.
std::pair<int, int> part(int i, int outputs, int inputs) {
  const int first = static_cast<int>(static_cast<std::int64_t>(i) * inputs / outputs);
  return {first, std::max(first + 1, static_cast<int>(static_cast<std::int64_t>(i + 1) * inputs / outputs))};
}

}  // namespace

Picture picture_of(const Tensor& image, int side) {
  const int channels = static_cast<int>(image.shape()[1]), height = static_cast<int>(image.shape()[2]),
            width = static_cast<int>(image.shape()[3]);
  const int longer = std::max(height, width);
  const int times = side / longer;  // 0: it becomes smaller
  const double scale = times > 0 ? static_cast<double>(times) : static_cast<double>(side) / longer;
  Picture picture = Picture::of(std::max(1, static_cast<int>(std::lround(height * scale))),
                                std::max(1, static_cast<int>(std::lround(width * scale))));
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        picture.pixel(y, x)[c] =
            byte_of(mean_of(image, channels == 3 ? c : 0, part(y, picture.height, height), part(x, picture.width, width)));
      }
    }
  }
  return picture;
}

Picture with_heat(const Picture& picture, const Tensor& map) {
  const Tensor large = upsampled_map(map, picture.height, picture.width);
  Picture mixed = picture;
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      const double heat = double{std::as_const(large).data<float>()[y * picture.width + x]}, opacity = 0.65 * std::sqrt(heat);
      const double colour[] = {255 * std::min(1.0, 2 * heat), 255 * (1 - std::abs(2 * heat - 1)),
                               255 * std::max(0.0, 1 - 2 * heat)};
      for (int c = 0; c < 3; ++c) mixed.pixel(y, x)[c] = byte_of(mixed.pixel(y, x)[c] * (1 - opacity) + colour[c] * opacity);
    }
  }
  return mixed;
}

Picture filter_sheet(const Tensor& weight, int columns) {
  constexpr int kGap = 1;  // pixels between two
  const int filters = static_cast<int>(weight.shape()[0]), channels = static_cast<int>(weight.shape()[1]);
  const int height = static_cast<int>(weight.shape()[2]), width = static_cast<int>(weight.shape()[3]);
  columns = std::min(columns, filters);
  const int rows = (filters + columns - 1) / columns;
  Picture sheet = Picture::of(rows * (height + kGap) - kGap, columns * (width + kGap) - kGap);
  std::ranges::fill(sheet.rgb, std::uint8_t{255});
  const std::vector<float> values = weight.to_vector<float>();
  const std::size_t size = static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  for (int k = 0; k < filters; ++k) {
    const float* filter = values.data() + static_cast<std::size_t>(k) * size;
    double largest = 0;
    for (std::size_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(double{filter[i]}));
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        std::uint8_t* pixel = sheet.pixel(k / columns * (height + kGap) + y, k % columns * (width + kGap) + x);
        for (int c = 0; c < 3; ++c) {
          const double value = double{filter[((channels == 3 ? c : 0) * height + y) * width + x]};
          pixel[c] = byte_of(largest > 0 ? 127.5 + 127.5 * value / largest : 127.5);
        }
      }
    }
  }
  return sheet;
}

Picture enlarged(const Picture& picture, int times) {
  Picture large = Picture::of(picture.height * times, picture.width * times);
  for (int y = 0; y < large.height; ++y) {
    for (int x = 0; x < large.width; ++x) std::copy_n(picture.pixel(y / times, x / times), 3, large.pixel(y, x));
  }
  return large;
}

std::string png_of(const Picture& picture) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(picture.width);
  png.height = static_cast<png_uint_32>(picture.height);
  png.format = PNG_FORMAT_RGB;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(png), '\0');
  png_alloc_size_t size = file.size();
  if (png_image_write_to_memory(&png, file.data(), &size, 0, picture.rgb.data(), 0, nullptr) == 0) throw std::bad_alloc();
  file.resize(size);
  return file;
}

std::string data_url(const Picture& picture) { return "data:image/png;base64," + base64(png_of(picture)); }

}  // namespace gpucnn::report
