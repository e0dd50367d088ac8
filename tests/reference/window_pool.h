#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <gpucnn/kernels/common/size2.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// One window: elements [top, bottom) x [left, right) of the image, and what their sum is divided by.
struct PoolWindow {
  std::int64_t top, bottom, left, right;
  double divisor;
};

/// The bins of PyTorch's adaptive poolings, in row order.
inline std::vector<PoolWindow> adaptive_windows(std::int64_t H, std::int64_t W, Size2 output_size) {
  const auto begin = [](std::int64_t i, std::int64_t size, int bins) {
    return static_cast<std::int64_t>(std::floor(static_cast<double>(i * size) / bins));
  };
  const auto end = [](std::int64_t i, std::int64_t size, int bins) {
    return static_cast<std::int64_t>(std::ceil(static_cast<double>((i + 1) * size) / bins));
  };
  std::vector<PoolWindow> windows;
  for (int i = 0; i < output_size.height; ++i) {
    for (int j = 0; j < output_size.width; ++j) {
      PoolWindow window{begin(i, H, output_size.height), end(i, H, output_size.height), begin(j, W, output_size.width),
                        end(j, W, output_size.width), 0};
      window.divisor = static_cast<double>((window.bottom - window.top) * (window.right - window.left));
      windows.push_back(window);
    }
  }
  return windows;
}

/// The mean of each window of each plane. x: [planes, H, W], y: [planes, windows].
inline Values window_mean(const std::vector<PoolWindow>& windows, std::int64_t H, std::int64_t W, const Values& x) {
  Values y;
  for (std::size_t plane = 0; plane < x.size(); plane += static_cast<std::size_t>(H * W)) {
    for (const PoolWindow& window : windows) {
      double sum = 0;
      for (std::int64_t h = window.top; h < window.bottom; ++h) {
        for (std::int64_t w = window.left; w < window.right; ++w) sum += x[plane + static_cast<std::size_t>(h * W + w)];
      }
      y.push_back(sum / window.divisor);
    }
  }
  return y;
}

inline Values window_mean_backward(const std::vector<PoolWindow>& windows, std::int64_t H, std::int64_t W, const Values& dy) {
  Values dx(dy.size() / windows.size() * static_cast<std::size_t>(H * W));
  for (std::size_t e = 0; e < dy.size(); ++e) {
    const PoolWindow& window = windows[e % windows.size()];
    const std::size_t plane = e / windows.size() * static_cast<std::size_t>(H * W);
    for (std::int64_t h = window.top; h < window.bottom; ++h) {
      for (std::int64_t w = window.left; w < window.right; ++w) {
        dx[plane + static_cast<std::size_t>(h * W + w)] += dy[e] / window.divisor;
      }
    }
  }
  return dx;
}

}  // namespace gpucnn::reference
