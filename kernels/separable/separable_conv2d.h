#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/core/precision.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/axis.h>
#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/conv/conv2d_options.h>
#include <gpucnn/kernels/depthwise/packed_taps.h>
#include <gpucnn/kernels/gemm/gemm_panel.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

namespace gpucnn::kernels {

/// Whether these make a depthwise separable convolution that SeparableConv2d serves, of images of C channels: a convolution of each
/// channel, then one of single pixels.
bool is_separable_conv2d(std::int64_t C, const Conv2dOptions& depthwise, std::int64_t depthwise_out,
                         const Conv2dOptions& pointwise);

/// Whether it pools by these: 2x2 windows without padding.
bool separable_conv2d_pools(const Pool2d& pool);

/// A depthwise separable convolution with ReLUs and perhaps a MaxPool2d of 2x2 windows, for predictions on the CPU. A band of rows
/// goes through all of them, so that what lies between them stays in the first-level cache. The results have the bits that the
/// operations give one by one. It keeps packed weights and serves one thread at a time.
class SeparableConv2d {
 public:
  struct Options {
    Conv2dOptions depthwise, pointwise;
    std::int64_t out_channels;
    bool pooled;
  };
  /// x: [N, C, H, W].
  SeparableConv2d(const Shape& x, const Options& options);

  bool serves(const Shape& x, Device device, Precision precision) const noexcept {
    return x == x_ && device == Device::cpu() && precision == Precision::fp32;
  }
  const Shape& y_shape() const noexcept { return y_; }

  /// The weight of a convolution, its bias or nothing, and whether ReLU comes behind it; behind the pooling, if there is one.
  struct Factors {
    Tensor weight, bias;
    bool rectifies;
  };
  /// False, with y as it was, where the padding's zeros meet depthwise weights that are not finite.
  bool forward(const Tensor& x, const Factors& depthwise, const Factors& pointwise, Tensor& y);

 private:
  /// Rows [first, last) of an image of y, pooled or not.
  struct Band {
    std::int64_t first, last;
  };
  void pack(const Factors& pointwise);
  void compute(const float* x, const Factors& depthwise, const Factors& pointwise, Band band, float* scratch, float* y) const;

  Shape x_, between_, y_;  // between_: behind the depthwise convolution
  Options options_;
  cpu::Axis rows_, columns_;
  std::int64_t window_, band_rows_;  // rows of y
  cpu::PackedTaps taps_;
  cpu::SeenValues seen_;  // the weights of packed_
  Tensor packed_, bias_;  // as cpu::PixelProducts wants them
  std::vector<std::int64_t> between_at_, y_at_, even_;
};

}  // namespace gpucnn::kernels
