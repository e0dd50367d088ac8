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
  Size2 dilation = 1;
  bool ceil_mode = false;

  std::int64_t Ho() const { return count(H, kernel_size.height, stride.height, padding.height, dilation.height); }
  std::int64_t Wo() const { return count(W, kernel_size.width, stride.width, padding.width, dilation.width); }

  /// Windows from the first on, as long as they may stand there.
  std::int64_t count(std::int64_t size, int kernel, int by, int pad, int step) const {
    std::int64_t windows = 0;
    for (std::int64_t begin = -pad;; begin += by) {
      const std::int64_t beyond = begin + std::int64_t{kernel - 1} * step + 1 - (size + pad);
      const bool stands = ceil_mode ? beyond < by && begin < size : beyond <= 0;
      if (!stands) return windows;
      ++windows;
    }
  }
};

/// `argmax` is the winner's index in the window, row * kernel width + column.
struct MaxPooled {
  Values y;
  std::vector<std::int32_t> argmax;
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
            const std::int64_t h = i * p.stride.height - p.padding.height + r * p.dilation.height;
            const std::int64_t w = j * p.stride.width - p.padding.width + s * p.dilation.width;
            if (h < 0 || h >= p.H || w < 0 || w >= p.W) continue;
            const double value = x[static_cast<std::size_t>((plane * p.H + h) * p.W + w)];
            if (winner >= 0 && !(value > best) && !std::isnan(value)) continue;
            best = value;
            winner = r * p.kernel_size.width + s;
          }
        }
        pooled.y.push_back(best);
        pooled.argmax.push_back(static_cast<std::int32_t>(winner));
      }
    }
  }
  return pooled;
}

inline Values max_pool2d_backward(const MaxPool2d& p, const Values& dy, const std::vector<std::int32_t>& argmax) {
  Values dx(static_cast<std::size_t>(p.planes * p.H * p.W));
  for (std::size_t e = 0; e < dy.size(); ++e) {
    const auto index = static_cast<std::int64_t>(e);
    const std::int64_t j = index % p.Wo(), i = index / p.Wo() % p.Ho(), plane = index / (p.Wo() * p.Ho());
    const std::int64_t h = i * p.stride.height - p.padding.height + argmax[e] / p.kernel_size.width * p.dilation.height;
    const std::int64_t w = j * p.stride.width - p.padding.width + argmax[e] % p.kernel_size.width * p.dilation.width;
    dx[static_cast<std::size_t>((plane * p.H + h) * p.W + w)] += dy[e];
  }
  return dx;
}

}  // namespace gpucnn::reference
