#include <gpucnn/data/image/resize_image.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/data/image/resized_pixels.h>

namespace gpucnn {
namespace {

constexpr int kMaxSide = 16'384, kMaxChannels = 16'384;
constexpr double kMaxLongerSide = 1 << 30;
constexpr int kWeightBits = 22;

/// The weights of the outputs [first, first + count) of an axis.
class AxisWeights {
 public:
  AxisWeights(int input, int output, int first, int count) : from_(static_cast<std::size_t>(count)), weights_() {
    const double scale = static_cast<double>(input) / output, support = std::max(scale, 1.0);
    taps_ = static_cast<int>(std::ceil(support)) * 2 + 1;
    weights_.assign(static_cast<std::size_t>(count) * static_cast<std::size_t>(taps_), 0);
    std::vector<double> exact(static_cast<std::size_t>(taps_));
    for (int x = 0; x < count; ++x) {
      const double centre = (first + x + 0.5) * scale;
      const int begin = std::max(0, static_cast<int>(std::floor(centre - support + 0.5)));
      const int end = std::min(input, static_cast<int>(std::floor(centre + support + 0.5)));
      double sum = 0;
      for (int i = begin; i < end; ++i) {
        const double distance = std::abs((i - centre + 0.5) / support);
        sum += exact[static_cast<std::size_t>(i - begin)] = distance < 1 ? 1 - distance : 0;
      }
      from_[static_cast<std::size_t>(x)] = {begin, end - begin};
      for (int i = 0; i < end - begin; ++i) {
        const double weight = exact[static_cast<std::size_t>(i)] / sum;  // the pixel around the centre weighs more than 0
        weights_[static_cast<std::size_t>(x) * static_cast<std::size_t>(taps_) + static_cast<std::size_t>(i)] =
            static_cast<std::int32_t>(std::floor(0.5 + weight * (1 << kWeightBits)));
      }
    }
  }

  struct Range {
    int begin, count;
  };
  Range range(int x) const { return from_[static_cast<std::size_t>(x)]; }
  const std::int32_t* weights(int x) const {
    return weights_.data() + static_cast<std::size_t>(x) * static_cast<std::size_t>(taps_);
  }

 private:
  int taps_ = 0;
  std::vector<Range> from_;
  std::vector<std::int32_t> weights_;
};

std::uint8_t rounded(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

/// One row along x: `width` outputs.
void resize_row(const std::uint8_t* from, const AxisWeights& axis, int channels, int width, std::uint8_t* to) {
  for (int x = 0; x < width; ++x, to += channels) {
    const auto [begin, count] = axis.range(x);
    const std::int32_t* weights = axis.weights(x);
    const std::uint8_t* pixel = from + std::ptrdiff_t{begin} * channels;
    for (int c = 0; c < channels; ++c) {
      std::int32_t sum = 1 << (kWeightBits - 1);
      for (int i = 0; i < count; ++i) sum += weights[i] * pixel[std::ptrdiff_t{i} * channels + c];
      to[c] = rounded(sum);
    }
  }
}

/// Python's round(), halves to even, of value / 2 for value >= 0.
int half_to_even(int value) {
  const int half = value / 2;
  return value % 2 == 1 && half % 2 == 1 ? half + 1 : half;
}

}  // namespace

void check_resize(const char* who, const ResizeOptions& options) {
  const auto [height, width] = options.size;
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide) {
    throw std::invalid_argument(
        formatted("{}: size must be from 1 to {} on each side, got {}x{} (width x height)", who, kMaxSide, width, height));
  }
  if (options.resize && (*options.resize < std::max(height, width) || *options.resize > kMaxSide)) {
    throw std::invalid_argument(formatted("{}: resize must be from {}, the larger side of size, to {}, got {}", who,
                                          std::max(height, width), kMaxSide, *options.resize));
  }
}

ResizePlan plan_resize(Size2 image, const ResizeOptions& options) {
  if (!options.resize) return {options.size};
  const bool tall = image.width <= image.height;
  const int shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  // int(size * longer / shorter), where Python divides two integers in float64. A line of pixels would become longer than any
  // image.
  const double exact = static_cast<double>(std::int64_t{*options.resize} * longer) / shorter;
  const auto other = static_cast<int>(std::min(exact, kMaxLongerSide));
  const Size2 whole = tall ? Size2(other, *options.resize) : Size2(*options.resize, other);
  return {whole, half_to_even(whole.height - options.size.height), half_to_even(whole.width - options.size.width)};
}

void resize_pixels(const std::uint8_t* image, Size2 size, int channels, const ResizePlan& plan, Size2 result, std::uint8_t* to) {
  const std::size_t stride = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(channels);
  const std::size_t result_stride = static_cast<std::size_t>(result.width) * static_cast<std::size_t>(channels);
  const bool rows_change = size.height != plan.whole.height, columns_change = size.width != plan.whole.width;
  const auto row_of = [&](int y) { return image + static_cast<std::size_t>(y) * stride; };
  const AxisWeights across(size.width, plan.whole.width, plan.left, result.width);
  const auto along_x = [&](int y, std::uint8_t* row) {
    if (columns_change) {
      resize_row(row_of(y), across, channels, result.width, row);
    } else {
      std::copy_n(row_of(y) + std::ptrdiff_t{plan.left} * channels, result_stride, row);
    }
  };
  if (!rows_change) {
    for (int y = 0; y < result.height; ++y) along_x(plan.top + y, to + static_cast<std::size_t>(y) * result_stride);
    return;
  }
  const AxisWeights down(size.height, plan.whole.height, plan.top, result.height);
  // The input's rows that any output needs, resized along x.
  const int first = down.range(0).begin, last = down.range(result.height - 1).begin + down.range(result.height - 1).count;
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(last - first) * result_stride);
  for (int y = first; y < last; ++y) along_x(y, rows.data() + static_cast<std::size_t>(y - first) * result_stride);
  std::vector<std::int32_t> sums(result_stride);
  for (int y = 0; y < result.height; ++y) {
    const auto [begin, count] = down.range(y);
    std::ranges::fill(sums, 1 << (kWeightBits - 1));
    for (int i = 0; i < count; ++i) {
      const std::int32_t weight = down.weights(y)[i];
      const std::uint8_t* row = rows.data() + static_cast<std::size_t>(begin - first + i) * result_stride;
      for (std::size_t x = 0; x < result_stride; ++x) sums[x] += weight * row[x];
    }
    std::ranges::transform(sums, to + static_cast<std::size_t>(y) * result_stride, rounded);
  }
}

Tensor resize_images(const Tensor& images, const ResizeOptions& options) {
  check_resize("resize_images", options);
  if (images.rank() != 4 || images.dtype() != DType::u8 || images.device() != Device::cpu()) {
    throw std::invalid_argument(formatted("resize_images: expects u8 images [N, C, H, W] on the CPU, got {} {} on {}",
                                          name_of(images.dtype()), images.shape().string(), images.device().string()));
  }
  const std::int64_t N = images.dim(0), C = images.dim(1), H = images.dim(2), W = images.dim(3);
  if (C < 1 || C > kMaxChannels || H < 1 || H > kMaxSideToResize || W < 1 || W > kMaxSideToResize) {
    throw std::invalid_argument(
        formatted("resize_images: expects images of 1 to {} channels and 1 to {} pixels on each side, got {}", kMaxChannels,
                  kMaxSideToResize, images.shape().string()));
  }
  const int height = options.size.height, width = options.size.width;
  Tensor result = Tensor::empty({N, C, height, width}, DType::u8);
  const Size2 size(static_cast<int>(H), static_cast<int>(W));
  const ResizePlan plan = plan_resize(size, options);
  const auto* from = images.data<std::uint8_t>();
  auto* to = result.data<std::uint8_t>();
  parallel_ranges(N, 1, [&](std::int64_t first, std::int64_t) {
    resize_pixels(from + first * C * H * W, size, static_cast<int>(C), plan, options.size, to + first * C * height * width);
  });
  return result;
}

}  // namespace gpucnn
