#include <algorithm>
#include <optional>
#include <utility>

#include <gpucnn/kernels/common/all_finite.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/conv/sampled_conv2d.h>

// Convolution on the CPU by oneDNN, but for what it must not be given: windows of 1x1 with a stride or a padding, and padding that
// meets a number that is not finite. Then it is given images that we make of x, without padding.
namespace gpucnn::kernels::cpu {
namespace {

/// The convolution that `sampling` leaves to oneDNN.
SampledConv2d of_samples(const Shape& x, const Shape& y, Conv2dOptions options, const Sampling& sampling) {
  options.padding = 0;
  return {{x[0], x[1], sampling.height, sampling.width}, y, options, sampling};
}

/// With a window of 1x1 there is a pixel of x, or padding, for each of y: oneDNN gets these alone. Its own way of leaving pixels
/// out (2.6.3, gradient of weights, fewer input channels than floats in a vector) reads and writes beyond its memory.
SampledConv2d direct(const Shape& x, const Shape& y, Conv2dOptions options) {
  if (options.kernel_size != 1) return {x, y, options, {}};
  options.dilation = 1;
  if (options.stride == 1 && options.padding == 0) return {x, y, options, {}};
  const Sampling sampling{.C = x[1],
                          .H = x[2],
                          .W = x[3],
                          .height = y[2],
                          .width = y[3],
                          .stride = std::exchange(options.stride, 1),
                          .padding = options.padding};
  return of_samples(x, y, options, sampling);
}

/// Images with padding of up to so many pixels are always made.
constexpr std::int64_t kMaxPaddedPixels = 1 << 16;

/// Along a height or a width: what the windows see of an image with padding.
struct Sight {
  std::int64_t size, count;  // of the image, of windows
  int kernel, step, before, apart;

  /// What all windows cover, padding included.
  std::int64_t reach() const { return (count - 1) * step + std::int64_t{apart} * (kernel - 1) + 1; }
  /// The first window that lies inside; `count` if none does.
  std::int64_t whole() const {
    const std::int64_t first = (std::int64_t{before} + step - 1) / step;
    return first < count && first * step - before + std::int64_t{apart} * (kernel - 1) < size ? first : count;
  }
  /// Whether no tap of some window lies inside.
  bool has_blind() const {
    for (std::int64_t window = 0; window < count; ++window) {
      const std::int64_t start = window * step - before, tap = std::max<std::int64_t>(0, (apart - 1 - start) / apart);
      if (tap >= kernel || start + tap * apart >= size) return true;  // the first tap that is not before the image
    }
    return false;
  }
};

Sight rows_of(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  return {x[2], y[2], o.kernel_size.height, o.stride.height, o.padding.height, o.dilation.height};
}

Sight columns_of(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  return {x[3], y[3], o.kernel_size.width, o.stride.width, o.padding.width, o.dilation.width};
}

/// The same with padding that is there: rows and columns of zeros around x.
SampledConv2d padded(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  const Sampling sampling{.C = x[1],
                          .H = x[2],
                          .W = x[3],
                          .height = rows_of(x, y, options).reach(),
                          .width = columns_of(x, y, options).reach(),
                          .stride = 1,
                          .padding = options.padding};
  return of_samples(x, y, options, sampling);
}

/// oneDNN leaves out the products with the padding's zeros or does not, as its instruction set would have it. Where their other
/// factor is infinite or NaN they are NaN: then it gets the padding as pixels. Results show where that may be.
class Conv2dOnednn final : public Conv2dPlan::Impl {
 public:
  Conv2dOnednn(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : x_(x),
        y_(y),
        options_(options),
        pads_(options.kernel_size != 1 && options.padding != 0),
        direct_(cpu::direct(x, y, options)) {
    const Sight rows = rows_of(x, y, options), columns = columns_of(x, y, options);
    if (!pads_) return;
    const std::int64_t all = rows.reach() * columns.reach();
    is_far_ = all > kMaxPaddedPixels && all > 4 * (x[2] * x[3] + y[2] * y[3]);
    shows_ = options.bias || !(rows.has_blind() || columns.has_blind());
    if (rows.whole() < y[2] && columns.whole() < y[3]) whole_ = rows.whole() * y[3] + columns.whole();
  }

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    // An output whose window meets no padding has all weights of its channel in it.
    bool suspect = pads_ && !whole_;
    direct_.forward(x, weight, bias, epilogue, y, [&](const onednn::Pass::Run& run) {
      if (run.first == 0 && whole_) suspect = !all_finite(y.data<float>() + *whole_ * y_[1], y_[1]);
    });
    if (!suspect || all_finite(weight.data<float>(), weight.numel())) return;
    if (is_far_) return conv2d_direct(x_, y_, options_)->forward(x, weight, bias, epilogue, y, stream);
    padded().forward(x, weight, bias, epilogue, y, [](const onednn::Pass::Run&) {});
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    direct_.backward_data(dy, weight, dx);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    const Shape& weight = dweight.shape();
    ParameterGradients gradients = direct_.backward_weights(x, dy, weight);
    if (pads_ && (shows_ ? may_be_spoilt(gradients, weight) : !all_finite(dy.data<float>(), dy.numel()))) {
      if (is_far_) return conv2d_direct(x_, y_, options_)->backward_weights(x, dy, accumulate, dweight, dbias, stream);
      gradients = padded().backward_weights(x, dy, weight);
    }
    finish(gradients.dweight(), weight.numel(), accumulate.dweight, dweight.data<float>());
    if (options_.bias) finish(gradients.dbias(), dbias.numel(), accumulate.dbias, dbias.data<float>());
  }

 private:
  /// Whether a gradient of y may not have been finite. It shows in that of the bias, and, of every input channel, in those of the
  /// weights whose taps lie inside.
  bool may_be_spoilt(const ParameterGradients& gradients, const Shape& weight) const {
    if (options_.bias) return !all_finite(gradients.dbias(), y_[1]);
    return !all_finite(gradients.dweight(), weight.numel() / weight[1], weight[1]);
  }

  SampledConv2d& padded() {
    if (!padded_) padded_.emplace(cpu::padded(x_, y_, options_));
    return *padded_;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  bool pads_;                          // whether oneDNN is left to do it
  bool is_far_ = false;                // whether images with their padding are much larger than x and y: then we convolve directly
  bool shows_ = true;                  // whether results show every gradient of y that is not finite
  std::optional<std::int64_t> whole_;  // a pixel of y whose window meets no padding
  SampledConv2d direct_;
  std::optional<SampledConv2d> padded_;
};

}  // namespace

std::unique_ptr<Conv2dPlan::Impl> conv2d_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dOnednn>(x, y, options);
}

}  // namespace gpucnn::kernels::cpu
