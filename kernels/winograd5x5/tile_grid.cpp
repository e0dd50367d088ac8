#include <gpucnn/kernels/winograd5x5/tile_grid.h>

#include <algorithm>

namespace gpucnn::kernels::cpu {

TileGrid::TileGrid(const Shape& x, const Shape& y, std::int64_t top_, std::int64_t left_)
    : N(x[0]), C(x[1]), K(y[1]), H(y[2]), W(y[3]), height(x[2]), width(x[3]), top(top_), left(left_) {
  // The patches of a task stay in the L2 cache. A small batch has smaller tasks, each of four rows of tiles at least.
  constexpr std::int64_t kPatchFloats = 12288, kMinTasks = 16;
  const std::int64_t fit = std::max<std::int64_t>(kPatchFloats / pixel(), 1), row = columns() + 1;
  const std::int64_t bands = std::max((kMinTasks + N - 1) / N, ((rows() + 1) * row + fit - 1) / fit);
  band_ = std::min(rows(), std::max<std::int64_t>(4, (rows() + bands - 1) / bands));
  bands_ = (rows() + band_ - 1) / band_;
  if (bands_ == 1) {
    const std::int64_t most = std::clamp<std::int64_t>(fit / ((band_ + 1) * row), 1, std::max<std::int64_t>(1, N / kMinTasks));
    images_ = std::min(N, most);
  }
  for (std::int64_t n = 0; n < images_; ++n) {
    for (std::int64_t i = 0; i < band_; ++i) {
      for (std::int64_t j = 0; j < columns(); ++j) {
        at_.push_back(n * image() + (i * row + j) * pixel());
        even_.push_back(columns() - j);
        products_.push_back(static_cast<std::int64_t>(products_.size()) * kGemmPanel);
        gradients_.push_back(static_cast<std::int64_t>(gradients_.size()) * round_up(K, kVector));
      }
    }
  }
  for (std::int64_t e = 0; e < kElements; ++e) {
    for (std::int64_t a = WindowPieces::first(e / 4); a < WindowPieces::kSide; ++a) {
      for (std::int64_t b = WindowPieces::first(e % 4); b < WindowPieces::kSide; ++b) {
        runs_[static_cast<std::size_t>(e)].push_back({(a * row + b) * pixel(), C});
      }
    }
  }
}

TileGrid::Task TileGrid::operator[](std::int64_t task) const {
  const std::int64_t first = task / bands_ * images_, row = task % bands_ * band_;
  return {first, std::min(images_, N - first), row, std::min(band_, rows() - row)};
}

}  // namespace gpucnn::kernels::cpu
