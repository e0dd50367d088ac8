#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <gpucnn/kernels/common/size2.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

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

/// The windows of PyTorch's AvgPool2d, in row order: those of an image with zeros around it, and with `ceil_mode` those that go
/// beyond them and begin before the zeros behind the image.
inline std::vector<PoolWindow> avg_windows(std::int64_t H, std::int64_t W, const AvgPool2dOptions& pool) {
  struct Span {
    std::int64_t begin, end, padded;  // in the image; elements with those of the padding
  };
  const auto spans = [&](std::int64_t size, int kernel, int stride, int padding) {
    std::vector<Span> all;
    for (std::int64_t begin = -padding;; begin += stride) {
      const std::int64_t beyond = begin + kernel - (size + padding);
      if (pool.ceil_mode ? beyond >= stride || begin >= size : beyond > 0) return all;
      const std::int64_t end = std::min(begin + kernel, size + padding);
      all.push_back({std::max<std::int64_t>(0, begin), std::min(end, size), end - begin});
    }
  };
  const Size2 stride = pool.stride.value_or(pool.kernel_size);
  std::vector<PoolWindow> windows;
  for (const Span& row : spans(H, pool.kernel_size.height, stride.height, pool.padding.height)) {
    for (const Span& column : spans(W, pool.kernel_size.width, stride.width, pool.padding.width)) {
      const std::int64_t inside = (row.end - row.begin) * (column.end - column.begin);
      const std::int64_t counted = pool.count_include_pad ? row.padded * column.padded : inside;
      windows.push_back(
          {row.begin, row.end, column.begin, column.end, static_cast<double>(pool.divisor_override.value_or(counted))});
    }
  }
  return windows;
}

/// The largest element of each window, and its place row * W + column: the first of equals, the last NaN.
struct WindowMax {
  Values y;
  std::vector<std::int32_t> argmax;
};

inline WindowMax window_max(const std::vector<PoolWindow>& windows, std::int64_t H, std::int64_t W, const Values& x) {
  WindowMax found;
  for (std::size_t plane = 0; plane < x.size(); plane += static_cast<std::size_t>(H * W)) {
    for (const PoolWindow& window : windows) {
      std::int64_t winner = -1;
      const auto at = [&](std::int64_t place) { return x[plane + static_cast<std::size_t>(place)]; };
      for (std::int64_t h = window.top; h < window.bottom; ++h) {
        for (std::int64_t w = window.left; w < window.right; ++w) {
          const std::int64_t place = h * W + w;
          if (winner < 0 || at(place) > at(winner) || std::isnan(at(place))) winner = place;
        }
      }
      found.y.push_back(at(winner));
      found.argmax.push_back(static_cast<std::int32_t>(winner));
    }
  }
  return found;
}

inline Values window_max_backward(const std::vector<std::int32_t>& argmax, std::size_t windows, std::int64_t H, std::int64_t W,
                                  const Values& dy) {
  Values dx(dy.size() / windows * static_cast<std::size_t>(H * W));
  for (std::size_t e = 0; e < dy.size(); ++e) {
    dx[e / windows * static_cast<std::size_t>(H * W) + static_cast<std::size_t>(argmax[e])] += dy[e];
  }
  return dx;
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
