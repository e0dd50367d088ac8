#pragma once

#include <algorithm>
#include <cstdint>

namespace gpucnn::kernels {

/// How a batch of `images` is split among tasks: by its size only, never by the number of threads, so that sums over images come
/// out the same on every machine. At least 16 tasks where there are 16 images, up to 64 for large batches.
class Shards {
 public:
  explicit Shards(std::int64_t images) : images_(images), count_(std::min(images, std::clamp<std::int64_t>(images / 4, 16, 64))) {}

  std::int64_t count() const noexcept { return count_; }
  std::int64_t first(std::int64_t shard) const noexcept { return shard * images_ / count_; }
  std::int64_t last(std::int64_t shard) const noexcept { return first(shard + 1); }

 private:
  std::int64_t images_, count_;
};

}  // namespace gpucnn::kernels
