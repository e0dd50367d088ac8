#include <algorithm>
#include <optional>
#include <utility>

#include <gpucnn/kernels/common/all_finite.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/conv2d_onednn/gathered_conv2d.h>

// Convolution on the CPU by oneDNN, except for what it must not be given: windows of 1x1 with a stride or a padding, and padding
// that meets a number that is not finite. Then it is given images that we gather from x, without padding.
namespace gpucnn::kernels {
namespace cpu {
namespace {

/// The convolution of the images that `gather` makes.
GatheredConv2d of_gathered(const Shape& x, const Shape& y, Conv2dOptions options, const PixelGather& gather) {
  options.padding = 0;
  return {{x[0], x[1], gather.height, gather.width}, y, options, gather};
}

/// With padding, if any, left to oneDNN. A window of 1x1 reads one pixel of x, or padding, for each pixel of y: oneDNN gets these
/// alone. Its own strided path (2.6.3, gradient of weights, fewer input channels than floats in a vector) is out of bounds.
GatheredConv2d implicitly_padded(const Shape& x, const Shape& y, Conv2dOptions options) {
  if (options.kernel_size != 1) return {x, y, options, {}};
  options.dilation = 1;
  if (options.stride == 1 && options.padding == 0) return {x, y, options, {}};
  const PixelGather gather{.C = x[1],
                           .H = x[2],
                           .W = x[3],
                           .height = y[2],
                           .width = y[3],
                           .stride = std::exchange(options.stride, 1),
                           .padding = options.padding.before()};
  return of_gathered(x, y, options, gather);
}

/// Up to so many pixels with padding, padded images are always made.
constexpr std::int64_t kMaxPaddedPixels = 1 << 16;

/// The rows or the columns of a convolution.
struct Axis {
  std::int64_t size, count;  // of the image, of windows
  int kernel, stride, padding, dilation;

  /// What all windows cover, padding included.
  std::int64_t padded_size() const { return (count - 1) * stride + std::int64_t{dilation} * (kernel - 1) + 1; }
  /// The first window without padding; `count` if there is none.
  std::int64_t first_unpadded() const {
    const std::int64_t first = (std::int64_t{padding} + stride - 1) / stride;
    return first < count && first * stride - padding + std::int64_t{dilation} * (kernel - 1) < size ? first : count;
  }
  /// Whether some window sees padding alone.
  bool has_only_padding() const {
    for (std::int64_t window = 0; window < count; ++window) {
      const std::int64_t start = window * stride - padding;
      const std::int64_t tap = std::max<std::int64_t>(0, (dilation - 1 - start) / dilation);  // the first not before the image
      if (tap >= kernel || start + tap * dilation >= size) return true;
    }
    return false;
  }
};

Axis rows_of(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  return {x[2], y[2], o.kernel_size.height, o.stride.height, o.padding.top, o.dilation.height};
}

Axis columns_of(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  return {x[3], y[3], o.kernel_size.width, o.stride.width, o.padding.left, o.dilation.width};
}

/// With padding as pixels: rows and columns of zeros around x.
GatheredConv2d explicitly_padded(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  const PixelGather gather{.C = x[1],
                           .H = x[2],
                           .W = x[3],
                           .height = rows_of(x, y, options).padded_size(),
                           .width = columns_of(x, y, options).padded_size(),
                           .stride = 1,
                           .padding = options.padding.before()};
  return of_gathered(x, y, options, gather);
}

/// Whether oneDNN leaves out the products with the padding's zeros depends on the instruction set. Where their other factor is
/// infinite or NaN they are NaN: then it gets the padding as pixels. The results tell when that may be needed.
class Conv2dOnednn final : public Conv2dPlan::Impl {
 public:
  Conv2dOnednn(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : x_(x),
        y_(y),
        options_(options),
        has_padding_(options.kernel_size != 1 && options.padding != 0),
        implicitly_padded_(cpu::implicitly_padded(x, y, options)) {
    const Axis rows = rows_of(x, y, options), columns = columns_of(x, y, options);
    if (!has_padding_) return;
    const std::int64_t all = rows.padded_size() * columns.padded_size();
    mostly_padding_ = all > kMaxPaddedPixels && all > 4 * (x[2] * x[3] + y[2] * y[3]);
    shows_nonfinite_ = options.bias || !(rows.has_only_padding() || columns.has_only_padding());
    const std::int64_t row = rows.first_unpadded(), column = columns.first_unpadded();
    if (row < y[2] && column < y[3]) unpadded_pixel_ = row * y[3] + column;
  }

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    // An output whose window meets no padding has all weights of its channel in it.
    bool suspect = has_padding_ && !unpadded_pixel_;
    implicitly_padded_.forward(x, weight, bias, epilogue, y, [&](const onednn::ShardedPrimitive::Chunk& chunk) {
      if (chunk.first == 0 && unpadded_pixel_) suspect = !all_finite(y.data<float>() + *unpadded_pixel_ * y_[1], y_[1]);
    });
    if (!suspect || all_finite(weight.data<float>(), weight.numel())) return;
    if (mostly_padding_) return conv2d_direct(x_, y_, options_)->forward(x, weight, bias, epilogue, y, stream);
    explicitly_padded().forward(x, weight, bias, epilogue, y, [](const onednn::ShardedPrimitive::Chunk&) {});
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    implicitly_padded_.backward_data(dy, weight, dx);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    const Shape& weight = dweight.shape();
    ParameterGradients gradients = implicitly_padded_.backward_weights(x, dy, weight);
    if (has_padding_ && (shows_nonfinite_ ? may_be_nonfinite(gradients, weight) : !all_finite(dy.data<float>(), dy.numel()))) {
      if (mostly_padding_) return conv2d_direct(x_, y_, options_)->backward_weights(x, dy, accumulate, dweight, dbias, stream);
      gradients = explicitly_padded().backward_weights(x, dy, weight);
    }
    finish(gradients.dweight(), weight.numel(), accumulate.dweight, dweight.data<float>());
    if (options_.bias) finish(gradients.dbias(), dbias.numel(), accumulate.dbias, dbias.data<float>());
  }

 private:
  /// Whether a gradient of y may not be finite. That shows in the gradient of the bias, and, for every input channel, in those of
  /// the weights whose taps lie inside.
  bool may_be_nonfinite(const ParameterGradients& gradients, const Shape& weight) const {
    if (options_.bias) return !all_finite(gradients.dbias(), y_[1]);
    return !all_finite(gradients.dweight(), weight.numel() / weight[1], weight[1]);
  }

  GatheredConv2d& explicitly_padded() {
    if (!explicitly_padded_) explicitly_padded_.emplace(cpu::explicitly_padded(x_, y_, options_));
    return *explicitly_padded_;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  bool has_padding_;                            // that oneDNN may add; that of 1x1 is gathered
  bool mostly_padding_ = false;                 // then a padded image is far larger than x and y, and we convolve directly
  bool shows_nonfinite_ = true;                 // whether results show every gradient of y that is not finite
  std::optional<std::int64_t> unpadded_pixel_;  // a pixel of y whose window meets no padding
  GatheredConv2d implicitly_padded_;
  std::optional<GatheredConv2d> explicitly_padded_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Conv2dPlan::Impl> cpu::conv2d_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dOnednn>(x, y, options);
}

}  // namespace gpucnn::kernels
