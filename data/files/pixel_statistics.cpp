#include <gpucnn/data/files/pixel_statistics.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <mutex>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/data/image/shared_reading.h>

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

std::string PixelStatistics::text() const {
  std::vector<std::string> numbers{std::to_string(pixels_)};
  for (const auto* kind : {&sums_, &squares_}) {
    for (const std::uint64_t sum : *kind) numbers.push_back(std::to_string(sum));
  }
  return pack_texts(numbers);
}

void PixelStatistics::add(const std::string& text) {
  const std::vector<std::string> numbers = unpack_texts(text);
  const std::size_t channels = numbers.size() / 2;
  sums_.resize(std::max(sums_.size(), channels));
  squares_.resize(sums_.size());
  pixels_ += std::stoull(numbers[0]);
  for (std::size_t c = 0; c < channels; ++c) {
    sums_[c] += std::stoull(numbers[1 + c]);
    squares_[c] += std::stoull(numbers[1 + channels + c]);
  }
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
