#pragma once

#include <gpucnn/kernels/fused/conv2d_relu_pool.h>
#include <gpucnn/kernels/fused/window_tile.h>

namespace gpucnn::kernels::cuda {

inline PooledSizes pooled_sizes(const Conv2dReluPool& conv) {
  const Shape &x = conv.x.shape(), &weight = conv.weight.shape();
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  return {extent(x[0]), extent(x[1]), extent(x[2]), extent(x[3]), extent(weight[0]), extent(x[2] / 2), extent(x[3] / 2)};
}

/// Of y or dy, which may be flat.
inline PooledLayout pooled_layout(const PooledSizes& s, const Tensor& y) {
  const std::int64_t pixels = std::int64_t{s.Ho} * s.Wo, image = pixels * s.K;
  return y.rank() == 2 ? PooledLayout{image, 1, pixels} : PooledLayout{image, s.K, 1};
}

}  // namespace gpucnn::kernels::cuda
