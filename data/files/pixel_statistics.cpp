#include <gpucnn/data/files/pixel_statistics.h>

#include <cmath>
#include <cstddef>
#include <mutex>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // pixels a task

}  // namespace

void PixelStatistics::add(const Tensor& images) {
  const auto channels = static_cast<std::size_t>(images.dim(1));
  sums_.resize(channels);
  squares_.resize(channels);
  const std::int64_t pixels = images.dim(0) * images.dim(2) * images.dim(3);
  pixels_ += static_cast<std::uint64_t>(pixels);
  const auto* values = images.data<std::uint8_t>();
  std::mutex mutex;
  parallel_ranges(pixels, kGrain, [&](std::int64_t first, std::int64_t last) {
    std::vector<std::uint64_t> sums(channels), squares(channels);
    const std::uint8_t* value = values + static_cast<std::size_t>(first) * channels;
    for (std::int64_t pixel = first; pixel < last; ++pixel) {
      for (std::size_t c = 0; c < channels; ++c, ++value) {
        sums[c] += *value;
        squares[c] += std::uint64_t{*value} * *value;
      }
    }
    const std::lock_guard lock(mutex);
    for (std::size_t c = 0; c < channels; ++c) {
      sums_[c] += sums[c];
      squares_[c] += squares[c];
    }
  });
}

Normalize PixelStatistics::normalize() const {
  const FloatEnvironment standard;
  Normalize measured;
  const auto count = static_cast<double>(pixels_);
  for (std::size_t c = 0; c < sums_.size(); ++c) {
    const double mean = static_cast<double>(sums_[c]) / count;
    const double variance = static_cast<double>(squares_[c]) / count - mean * mean;
    measured.mean.push_back(mean / 255);
    measured.std.push_back(variance > 0 ? std::sqrt(variance) / 255 : 1);
  }
  return measured;
}

}  // namespace gpucnn
