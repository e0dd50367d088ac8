#pragma once

#include <gpucnn/kernels/conv/padding2d.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// The sizes of one convolution: x: [N, C, H, W], weight: [K, C / groups, kH, kW], bias: [K], y: [N, K, Ho, Wo].
struct Conv2d {
  std::int64_t N, C, H, W, K;
  Size2 kernel_size;
  Size2 stride = 1;
  Padding2d padding = 0;
  Size2 dilation = 1;
  std::int64_t groups = 1;

  std::int64_t Ho() const {
    return extent(H, kernel_size.height, stride.height, std::int64_t{padding.top} + padding.bottom, dilation.height);
  }
  std::int64_t Wo() const {
    return extent(W, kernel_size.width, stride.width, std::int64_t{padding.left} + padding.right, dilation.width);
  }
  std::int64_t x_numel() const { return N * C * H * W; }
  std::int64_t weight_numel() const { return K * (C / groups) * kernel_size.height * kernel_size.width; }
  std::int64_t y_numel() const { return N * K * Ho() * Wo(); }

 private:
  static std::int64_t extent(std::int64_t size, std::int64_t kernel, std::int64_t step, std::int64_t padding, std::int64_t apart) {
    return (size + padding - apart * (kernel - 1) - 1) / step + 1;
  }
};

/// What a product takes from x where its window reaches beyond the image: no element, but a zero.
inline constexpr std::size_t kPadding = static_cast<std::size_t>(-1);

/// Calls `visit(x index, weight index, y index)` for every product of the convolution; x's index may be `kPadding`.
template <class Visit>
void for_each_product(const Conv2d& c, Visit visit) {
  const std::int64_t group_inputs = c.C / c.groups, group_outputs = c.K / c.groups;
  for (std::int64_t n = 0; n < c.N; ++n) {
    for (std::int64_t k = 0; k < c.K; ++k) {
      for (std::int64_t i = 0; i < c.Ho(); ++i) {
        for (std::int64_t j = 0; j < c.Wo(); ++j) {
          for (std::int64_t g = 0; g < group_inputs; ++g) {
            for (std::int64_t r = 0; r < c.kernel_size.height; ++r) {
              for (std::int64_t s = 0; s < c.kernel_size.width; ++s) {
                const std::int64_t h = i * c.stride.height - c.padding.top + r * c.dilation.height;
                const std::int64_t w = j * c.stride.width - c.padding.left + s * c.dilation.width;
                const bool inside = h >= 0 && h < c.H && w >= 0 && w < c.W;
                const std::int64_t channel = k / group_outputs * group_inputs + g;
                visit(inside ? static_cast<std::size_t>(((n * c.C + channel) * c.H + h) * c.W + w) : kPadding,
                      static_cast<std::size_t>(((k * group_inputs + g) * c.kernel_size.height + r) * c.kernel_size.width + s),
                      static_cast<std::size_t>(((n * c.K + k) * c.Ho() + i) * c.Wo() + j));
              }
            }
          }
        }
      }
    }
  }
}

/// y[n, k, i, j] = bias[k] + the sum over c, r, s of weight[k, c, r, s] * x[n, c, i stride - padding + r dilation, ...].
/// x is 0 in the padding: a weight that is infinite or NaN makes NaN of it. An empty bias is none.
inline Values conv2d(const Conv2d& c, const Values& x, const Values& weight, const Values& bias) {
  Values y(static_cast<std::size_t>(c.y_numel()));
  const auto pixels = static_cast<std::size_t>(c.Ho() * c.Wo());
  for (std::size_t i = 0; !bias.empty() && i < y.size(); ++i) y[i] = bias[i / pixels % bias.size()];
  for_each_product(
      c, [&](std::size_t from, std::size_t w, std::size_t to) { y[to] += weight[w] * (from == kPadding ? 0.0 : x[from]); });
  return y;
}

struct Conv2dGradients {
  Values dx, dweight, dbias;
};

/// A gradient of y that is infinite or NaN makes NaN of dweight where its window reaches into the padding.
inline Conv2dGradients conv2d_backward(const Conv2d& c, const Values& x, const Values& weight, const Values& dy) {
  Conv2dGradients gradients{Values(x.size()), Values(weight.size()), Values(static_cast<std::size_t>(c.K))};
  const auto pixels = static_cast<std::size_t>(c.Ho() * c.Wo());
  for (std::size_t i = 0; i < dy.size(); ++i) gradients.dbias[i / pixels % gradients.dbias.size()] += dy[i];
  for_each_product(c, [&](std::size_t from, std::size_t w, std::size_t to) {
    if (from != kPadding) gradients.dx[from] += weight[w] * dy[to];
    gradients.dweight[w] += (from == kPadding ? 0.0 : x[from]) * dy[to];
  });
  return gradients;
}

}  // namespace gpucnn::reference
