#include <gpucnn/kernels/conv2d_gemm/scattered_gradient.h>

#include <algorithm>
#include <utility>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/conv2d_gemm/add_windows.h>
#include <gpucnn/kernels/gemm/pixel_products.h>

namespace gpucnn::kernels::cpu {
namespace {

constexpr std::int64_t kBandPixels = 128;  // whose windows stay in the L2 cache

std::int64_t vectors(std::int64_t floats) { return (floats + kVector - 1) / kVector; }

}  // namespace

bool ScatteredGradient::pays(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  if (o.dilation.width != 1) return false;  // a window's row would not be contiguous
  constexpr double kMaxFloats = 1 << 22;    // of an image with its padding
  const auto padded = [](std::int64_t windows, int stride, int taps, int dilation) {
    return static_cast<double>(windows - 1) * stride + static_cast<double>(taps - 1) * dilation + 1;
  };
  const double height = padded(y[2], o.stride.height, o.kernel_size.height, o.dilation.height);
  const double width = padded(y[3], o.stride.width, o.kernel_size.width, 1);
  if (height * width * static_cast<double>(x[1]) > kMaxFloats) return false;
  const std::int64_t C = x[1] / o.groups, K = y[1] / o.groups, row = o.kernel_size.width * C, taps = o.kernel_size.height * row / C;
  const std::int64_t adds = 3 * o.kernel_size.height * (vectors(row) + 1);  // a load, an addition and a store each
  const std::int64_t scattered = y[2] * y[3] * (K * vectors(taps * C) + adds);
  const std::int64_t correlated = x[2] * x[3] * K * taps * vectors(C) / (std::int64_t{o.stride.height} * o.stride.width);
  return 5 * scattered < 4 * correlated;
}

ScatteredGradient::ScatteredGradient(const Shape& x, const Shape& y, const Conv2dOptions& o) : C_(x[1] / o.groups) {
  const Correlation forward = forward_correlation(x, y, o);
  rows_ = forward_axis(x[2], y[2], o.kernel_size.height, o.stride.height, o.padding.top, o.dilation.height);
  columns_ = forward_axis(x[3], y[3], o.kernel_size.width, o.stride.width, o.padding.left, 1);
  const Axis point{.inputs = 1, .outputs = 1, .origin = 0, .stride = 1, .step = 1, .taps = 1};
  c_ = {x[0], forward.K, forward.terms(), forward.groups, point, point, 1, 1};
  height_ = (rows_.outputs - 1) * rows_.stride + (rows_.taps - 1) * rows_.step + 1;
  width_ = (columns_.outputs - 1) * columns_.stride + columns_.taps;
  for (std::int64_t pixel = 0; pixel < kBandPixels; ++pixel) {
    pixels_.push_back(pixel * y[1]);
    even_.push_back(kBandPixels - pixel);
    windows_.push_back(pixel * panels_of(c_.K) * kGemmPanel);
  }
}

/// A group of one image. scratch: the windows of kBandPixels pixels, then the image with its padding.
void ScatteredGradient::scatter(const float* dy, const float* weights, float* scratch, float* image) const {
  const std::int64_t window = panels_of(c_.K) * kGemmPanel, pixels = rows_.outputs * columns_.outputs;
  const Run run{0, c_.C};
  float* const padded = scratch + kBandPixels * window;
  std::fill_n(padded, height_ * width_ * C_, 0.0F);
  for (std::int64_t first = 0; first < pixels; first += kBandPixels) {
    const std::int64_t count = std::min(kBandPixels, pixels - first);
    multiply_pixels({.x = dy + first * c_.groups * c_.C,
                     .x_at = pixels_.data(),
                     .even = even_.data(),
                     .y = scratch,
                     .y_at = windows_.data(),
                     .pixels = count,
                     .runs = &run,
                     .terms = c_.C,
                     .weights = weights,
                     .bias = zeros_.data<float>(),
                     .first = 0,
                     .last = c_.K});
    add_windows({.windows = scratch,
                 .window = window,
                 .first = first,
                 .count = count,
                 .columns = columns_.outputs,
                 .row_step = rows_.stride * width_ * C_,
                 .column_step = columns_.stride * C_,
                 .taps = rows_.taps,
                 .tap_step = rows_.step * width_ * C_,
                 .tap_length = columns_.taps * C_,
                 .image = padded});
  }
  // Rows and columns behind the last window have no gradient.
  const std::int64_t in_pixel = c_.groups * C_, top = -rows_.origin, left = -columns_.origin;
  const std::int64_t columns = std::clamp<std::int64_t>(width_ - left, 0, columns_.inputs);
  for (std::int64_t h = 0; h < rows_.inputs; ++h) {
    const bool is_read = top + h < height_;
    const float* const from = padded + ((top + h) * width_ + left) * C_;
    float* const to = image + h * columns_.inputs * in_pixel;
    for (std::int64_t w = 0; w < columns_.inputs; ++w) {
      if (is_read && w < columns) {
        std::copy_n(from + w * C_, C_, to + w * in_pixel);
      } else {
        std::fill_n(to + w * in_pixel, C_, 0.0F);
      }
    }
  }
}

void ScatteredGradient::run(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const std::int64_t window = panels_of(c_.K) * kGemmPanel,
                     scratch = kBandPixels * window + round_up(height_ * width_ * C_, kVector);
  if (!packed_.defined()) {
    packed_ = Tensor::empty({c_.groups * packed_group(c_)});
    zeros_ = Tensor::zeros({window});
  }
  if (!seen_.are_those_of(weight)) {
    seen_.forget();
    const WeightLayout layout{.group = c_.C * c_.K, .output = 1, .channel = c_.K, .tap = 0, .row_of_taps = 0};
    pack_weights(c_, layout, weight.data<float>(), packed_.data<float>());
    seen_.note(weight);
  }
  const int threads = num_threads();
  Tensor memory = Tensor::empty({threads * scratch});
  const float *const from = dy.data<float>(), *const weights = std::as_const(packed_).data<float>();
  float *const to = dx.data<float>(), *const memories = memory.data<float>();
  const std::int64_t dy_image = dy.numel() / c_.N, dx_image = dx.numel() / c_.N;
  parallel_for(c_.N, threads, [=, this](std::int64_t image, int thread) {
    const FlushSubnormals flush;
    for (std::int64_t group = 0; group < c_.groups; ++group) {
      scatter(from + image * dy_image + group * c_.C, weights + group * packed_group(c_), memories + thread * scratch,
              to + image * dx_image + group * C_);
    }
  });
}

}  // namespace gpucnn::kernels::cpu
