#include <algorithm>
#include <optional>
#include <vector>

#include <gpucnn/kernels/common/all_finite.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/conv2d_gemm/correlator.h>
#include <gpucnn/kernels/conv2d_gemm/scattered_gradient.h>
#include <gpucnn/kernels/conv2d_gemm/weight_gradient.h>

// Convolution on the CPU by implicit GEMM: of any window, stride, padding, dilation and groups.
namespace gpucnn::kernels {
namespace cpu {
namespace {

class Conv2dGemm final : public Conv2dPlan::Impl {
 public:
  Conv2dGemm(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : x_(x),
        y_(y),
        options_(options),
        window_(options.kernel_size),
        c_(forward_correlation(x, y, options)),
        forward_(c_, WeightLayout::forward(c_, window_.height, window_.width)),
        weight_gradient_(c_) {
    if (ScatteredGradient::pays(x, y, options)) {
      scattered_.emplace(x, y, options);
    } else {
      for (const Correlation& c : gradient_correlations(x, y, options)) {
        data_gradients_.emplace_back(c, WeightLayout::exchanged(c, window_.height, window_.width));
      }
    }
  }

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream&) override {
    forward_.run(x, weight, options_.bias ? bias.data<float>() : nullptr, {epilogue}, y);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    if (scattered_) return scattered_->run(dy, weight, dx);
    if (pads_infinities(weight)) return conv2d_direct(x_, y_, options_)->backward_data(dy, weight, dx, stream);
    for (Correlator& part : data_gradients_) part.run(dy, weight, nullptr, {}, dx);
  }

  bool backward_data_before(const Tensor& dy, const Tensor& weight, const Conv2dBefore& before, Tensor& dx, Stream&) override {
    if (before.addend.defined() || scattered_ || pads_infinities(weight)) return false;
    // With a stride dx has several parts, whose pixels do not lie side by side.
    const Activation::Kind kind = before.before.kind;
    if (kind != Activation::relu && (data_gradients_.size() != 1 || data_gradients_.front().is_padded())) return false;
    const float* const made = kind != Activation::none ? before.x.data<float>() : nullptr;
    for (Correlator& part : data_gradients_) part.run(dy, weight, nullptr, {{}, before.before, made}, dx);
    return true;
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    weight_gradient_.run(x, dy, accumulate.dweight, dweight.data<float>(), accumulate.dbias,
                         options_.bias ? dbias.data<float>() : nullptr);
  }

 private:
  /// Gradients of x beyond the last window have no products. With padding as pixels they would: those with its zeros.
  bool pads_infinities(const Tensor& weight) const {
    return std::ranges::any_of(data_gradients_, &Correlator::is_padded) && !all_finite(weight.data<float>(), weight.numel());
  }

  Shape x_, y_;
  Conv2dOptions options_;
  Size2 window_;
  Correlation c_;
  Correlator forward_;
  WeightGradient weight_gradient_;
  std::optional<ScatteredGradient> scattered_;
  std::vector<Correlator> data_gradients_;  // parts of x's gradient, which share no pixel; none if it is scattered
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Conv2dPlan::Impl> cpu::conv2d_gemm(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  const auto is_small = [](const Correlation& c) { return c.has_small_rows(); };
  const bool all_small =
      is_small(forward_correlation(x, y, options)) && std::ranges::all_of(gradient_correlations(x, y, options), is_small);
  return all_small ? std::make_unique<Conv2dGemm>(x, y, options) : conv2d_direct(x, y, options);
}

}  // namespace gpucnn::kernels
