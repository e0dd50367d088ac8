#pragma once

#include <cmath>
#include <limits>

#include <gpucnn/kernels/common/size2.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// x: [planes, H, W] -> y: [planes, Ho, Wo]; planes is N * C.
struct MaxPool2d {
  std::int64_t planes, H, W;
  Size2 kernel_size;
  Size2 stride;
  Size2 padding = 0;

  std::int64_t Ho() const { return (H + 2 * padding.height - kernel_size.height) / stride.height + 1; }
  std::int64_t Wo() const { return (W + 2 * padding.width - kernel_size.width) / stride.width + 1; }
};

/// `argmax` is the winner's index in the window, row * kernel width + column.
struct MaxPooled {
  Values y;
  std::vector<std::uint8_t> argmax;
};

inline MaxPooled max_pool2d(const MaxPool2d& p, const Values& x) {
  MaxPooled pooled;
  for (std::int64_t plane = 0; plane < p.planes; ++plane) {
    for (std::int64_t i = 0; i < p.Ho(); ++i) {
      for (std::int64_t j = 0; j < p.Wo(); ++j) {
        double best = -std::numeric_limits<double>::infinity();
        std::int64_t winner = -1;
        for (std::int64_t r = 0; r < p.kernel_size.height; ++r) {
          for (std::int64_t s = 0; s < p.kernel_size.width; ++s) {
            const std::int64_t h = i * p.stride.height - p.padding.height + r;
            const std::int64_t w = j * p.stride.width - p.padding.width + s;
            if (h < 0 || h >= p.H || w < 0 || w >= p.W) continue;
            const double value = x[static_cast<std::size_t>((plane * p.H + h) * p.W + w)];
            if (winner >= 0 && !(value > best) && !std::isnan(value)) continue;
            best = value;
            winner = r * p.kernel_size.width + s;
          }
        }
        pooled.y.push_back(best);
        pooled.argmax.push_back(static_cast<std::uint8_t>(winner));
      }
    }
  }
  return pooled;
}

inline Values max_pool2d_backward(const MaxPool2d& p, const Values& dy, const std::vector<std::uint8_t>& argmax) {
  Values dx(static_cast<std::size_t>(p.planes * p.H * p.W));
  for (std::size_t e = 0; e < dy.size(); ++e) {
    const auto index = static_cast<std::int64_t>(e);
    const std::int64_t j = index % p.Wo(), i = index / p.Wo() % p.Ho(), plane = index / (p.Wo() * p.Ho());
    const std::int64_t h = i * p.stride.height - p.padding.height + argmax[e] / p.kernel_size.width;
    const std::int64_t w = j * p.stride.width - p.padding.width + argmax[e] % p.kernel_size.width;
    dx[static_cast<std::size_t>((plane * p.H + h) * p.W + w)] += dy[e];
  }
  return dx;
}

}  // namespace gpucnn::reference
