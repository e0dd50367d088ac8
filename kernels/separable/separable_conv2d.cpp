#include <gpucnn/kernels/separable/separable_conv2d.h>

#include <algorithm>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/conv2d_gemm/packed_weights.h>
#include <gpucnn/kernels/depthwise/rows.h>
#include <gpucnn/kernels/gemm/pixel_products.h>
#include <gpucnn/kernels/pool/twins.h>
#include <gpucnn/kernels/pool_rows/pool_2x2_row.h>

namespace gpucnn::kernels {
namespace {

/// Pixels of a band: enough to make reading the weights pay. With 64 channels before and behind their numbers fill the first-level
/// cache.
constexpr std::int64_t kBandPixels = 64;
/// Bands of a batch, so that few images give work to several threads.
constexpr std::int64_t kMinBands = 4;

std::int64_t rows_per_band(const Shape& between, std::int64_t window) {
  const std::int64_t rows = between[2] / window, pixels = std::max<std::int64_t>(1, window * between[3]);
  const std::int64_t fit = (kBandPixels + pixels - 1) / pixels, shared_out = (between[0] * rows + kMinBands - 1) / kMinBands;
  return std::clamp<std::int64_t>(std::min(fit, shared_out), 1, std::max<std::int64_t>(1, rows));
}

}  // namespace

bool is_separable_conv2d(std::int64_t C, const Conv2dOptions& depthwise, std::int64_t depthwise_out,
                         const Conv2dOptions& pointwise) {
  return C > 1 && depthwise.groups == C && depthwise_out == C && pointwise.kernel_size == 1 && pointwise.stride == 1 &&
         pointwise.padding == 0 && pointwise.groups == 1;
}

bool separable_conv2d_pools(const Pool2d& pool) { return is_halving(pool); }

SeparableConv2d::SeparableConv2d(const Shape& x, const Options& options)
    : x_(x), between_(conv2d_shape(x, x[1], x[1], options.depthwise)), options_(options), window_(options.pooled ? 2 : 1) {
  const Conv2dOptions& o = options.depthwise;
  y_ = {x[0], options.out_channels, between_[2] / window_, between_[3] / window_};
  rows_ = cpu::forward_axis(x[2], between_[2], o.kernel_size.height, o.stride.height, o.padding.top, o.dilation.height);
  columns_ = cpu::forward_axis(x[3], between_[3], o.kernel_size.width, o.stride.width, o.padding.left, o.dilation.width);
  band_rows_ = rows_per_band(between_, window_);
  const std::int64_t pixels = band_rows_ * window_ * between_[3];
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
    between_at_.push_back(pixel * x[1]);
    y_at_.push_back(pixel * options.out_channels);
    even_.push_back(pixels - pixel);
  }
}

void SeparableConv2d::pack(const Factors& pointwise) {
  const cpu::Correlation c = cpu::forward_correlation(between_, between_.with(1, options_.out_channels), options_.pointwise);
  if (!packed_.defined()) {
    packed_ = Tensor::empty({cpu::packed_group(c)});
    bias_ = Tensor::zeros({cpu::panels_of(c.K) * cpu::kGemmPanel});
  }
  if (pointwise.bias.defined()) std::copy_n(std::as_const(pointwise.bias).data<float>(), c.K, bias_.data<float>());
  if (seen_.are_those_of(pointwise.weight)) return;
  seen_.forget();
  cpu::pack_weights(c, cpu::WeightLayout::forward(c, 1, 1), std::as_const(pointwise.weight).data<float>(), packed_.data<float>());
  seen_.note(pointwise.weight);
}

bool SeparableConv2d::forward(const Tensor& x, const Factors& depthwise, const Factors& pointwise, Tensor& y) {
  const Size2 kernel = options_.depthwise.kernel_size;
  (void)taps_.of(depthwise.weight, std::int64_t{kernel.height} * kernel.width, x_[1]);
  if (options_.depthwise.padding != 0 && !taps_.are_finite()) return false;
  pack(pointwise);
  const std::int64_t bands = (y_[2] + band_rows_ - 1) / band_rows_;
  const std::int64_t pixels = static_cast<std::int64_t>(even_.size());
  const std::int64_t scratch = pixels * (x_[1] + (options_.pooled ? y_[1] : 0));
  const int threads = num_threads();
  Tensor memory = Tensor::empty({threads * scratch});
  const float* const from = x.data<float>();
  float *const to = y.data<float>(), *const scratches = memory.data<float>();
  parallel_for(y_[0] * bands, threads, [&, this](std::int64_t task, int thread) {
    const std::int64_t image = task / bands, first = task % bands * band_rows_;
    compute(from + image * x_[1] * x_[2] * x_[3], depthwise, pointwise, {first, std::min(y_[2], first + band_rows_)},
            scratches + thread * scratch, to + image * y_[1] * y_[2] * y_[3]);
  });
  return true;
}

void SeparableConv2d::compute(const float* x, const Factors& depthwise, const Factors& pointwise, Band band, float* scratch,
                              float* y) const {
  const std::int64_t C = x_[1], K = y_[1], width = between_[3], first = band.first * window_, last = band.last * window_;
  const float* const biases = depthwise.bias.defined() ? std::as_const(depthwise.bias).data<float>() : nullptr;
  float* const products = options_.pooled ? scratch + static_cast<std::int64_t>(even_.size()) * C : y + first * width * K;
  for (std::int64_t row = first; row < last; ++row) {
    cpu::correlate_row({rows_, columns_, row, x, 0, taps_.data(), options_.depthwise.kernel_size.width, C, biases,
                        scratch + (row - first) * width * C, depthwise.rectifies});
  }
  const cpu::Run terms{0, C};
  cpu::multiply_pixels({.x = scratch,
                        .x_at = between_at_.data(),
                        .even = even_.data(),
                        .y = products,
                        .y_at = y_at_.data(),
                        .pixels = (last - first) * width,
                        .runs = &terms,
                        .terms = C,
                        .weights = packed_.data<float>(),
                        .bias = bias_.data<float>(),
                        .first = 0,
                        .last = K,
                        .rectifies = pointwise.rectifies && !options_.pooled});
  if (!options_.pooled) return;
  for (std::int64_t row = band.first; row < band.last; ++row) {
    const float* const top = products + 2 * (row - band.first) * width * K;
    cpu::pool_2x2_row({top, top + width * K, y_[3], K, y + row * y_[3] * K, pointwise.rectifies});
  }
}

}  // namespace gpucnn::kernels
