#include <algorithm>
#include <optional>

#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/winograd/winograd_conv.h>
#include <gpucnn/kernels/winograd/winograd_weight_grad.h>
#include <gpucnn/kernels/winograd5x5/winograd5x5.h>
#include <gpucnn/kernels/winograd5x5/winograd5x5_weight_grad.h>

// Convolution on the CPU: depthwise by kernels for its own, 3x3 and 5x5 windows by Winograd where that pays, all others by implicit
// GEMM. oneDNN, where this build has it, takes what it computes faster, for as long as it may be called.
namespace gpucnn::kernels {
namespace cpu {
namespace {

/// The padding before x of a 5x5 window that Winograd serves.
std::optional<Size2> winograd5x5_padding(const Conv2dOptions& o) {
  const auto& [top, bottom, left, right, same] = o.padding;
  const bool serves = o.kernel_size == 5 && o.stride == 1 && o.dilation == 1 && o.groups == 1;
  if (!serves || std::max({top, bottom, left, right}) >= WindowPieces::kTaps) return {};
  return o.padding.before();
}

/// Whether windows are those of WinogradConv.
bool is_winograd_window(const Conv2dOptions& o) {
  const auto& [top, bottom, left, right, same] = o.padding;
  const bool is_padded = top == 1 && bottom == 1 && left == 1 && right == 1;
  return is_padded && o.kernel_size == 3 && o.stride == 1 && o.dilation == 1 && o.groups == 1;
}

class Conv2dCpu final : public Conv2dPlan::Impl {
 public:
  Conv2dCpu(const Shape& x, const Shape& y, const Conv2dOptions& options)
      : x_(x), y_(y), options_(options), onednn_(faster_by_onednn(x, y, options)) {
    if (const std::optional<Size2> padding = winograd5x5_padding(options)) prepare5x5(*padding);
    if (!is_winograd_window(options) || !winograd_pays(x, y[1])) return;
    winograd_.emplace(x, y, false);
    winograd_data_grad_.emplace(y, x, true);
    if (winograd_weight_grad_pays(x, y[1])) winograd_weight_grad_.emplace(x, y);
  }

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    const float* const biases = options_.bias ? bias.data<float>() : nullptr;
    if (winograd_ && winograd_->run(x, weight, biases, {epilogue}, y)) return;
    if (winograd5x5_ && winograd5x5_->run(x, weight, biases, epilogue, y)) return;
    if (onednn_ && onednn_->forward(x, weight, bias, epilogue, y, stream)) return;
    gemm().forward(x, weight, bias, epilogue, y, stream);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    if (winograd_data_grad_ && winograd_data_grad_->run(dy, weight, nullptr, {}, dx)) return;
    if (winograd5x5_data_grad_ && winograd5x5_data_grad_->run(dy, weight, nullptr, {}, dx)) return;
    if (onednn_ && onednn_->backward_data(dy, weight, dx, stream)) return;
    gemm().backward_data(dy, weight, dx, stream);
  }

  bool takes_sum() const noexcept override { return winograd_.has_value(); }

  bool forward_sum(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dSum& sum, Tensor& y, Stream&) override {
    const float* const biases = options_.bias ? bias.data<float>() : nullptr;
    return winograd_ && winograd_->run(x, weight, biases, {sum.activation, sum.addend.data<float>()}, y);
  }

  bool backward_data_before(const Tensor& dy, const Tensor& weight, const Conv2dBefore& before, Tensor& dx,
                            Stream& stream) override {
    if (!winograd_data_grad_ && !winograd5x5_data_grad_ && !onednn_) {
      return gemm().backward_data_before(dy, weight, before, dx, stream);
    }
    const Activation::Kind kind = before.before.kind;
    const bool sums = before.addend.defined(), masks = kind == Activation::relu;
    if (!winograd_data_grad_ || (kind != Activation::none && !masks) || sums == masks) return false;
    const float* const addend = sums ? before.addend.data<float>() : nullptr;
    const float* const made = masks ? before.x.data<float>() : nullptr;
    return winograd_data_grad_->run(dy, weight, nullptr, {.addend = addend, .relu_made = made}, dx);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    if (winograd_weight_grad_ && winograd_weight_grad_->run(x, dy, {accumulate.dweight, accumulate.dbias}, dweight, dbias)) return;
    float* const biases = options_.bias ? dbias.data<float>() : nullptr;
    if (winograd5x5_weight_grad_ &&
        winograd5x5_weight_grad_->run(x, dy, accumulate.dweight, dweight.data<float>(), accumulate.dbias, biases)) {
      return;
    }
    if (onednn_ && onednn_->backward_weights(x, dy, accumulate, dweight, dbias, stream)) return;
    gemm().backward_weights(x, dy, accumulate, dweight, dbias, stream);
  }

 private:
  void prepare5x5(Size2 padding) {
    constexpr std::int64_t kMost = WindowPieces::kTaps - 1;
    if (winograd5x5_pays(x_, y_)) {
      winograd5x5_.emplace(x_, y_, padding.height, padding.width, false);
      winograd5x5_weight_grad_.emplace(x_, y_, padding.height, padding.width);
    }
    if (winograd5x5_pays(y_, x_)) winograd5x5_data_grad_.emplace(y_, x_, kMost - padding.height, kMost - padding.width, true);
  }

  Impl& gemm() {
    if (!gemm_) gemm_ = conv2d_gemm(x_, y_, options_);
    return *gemm_;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  std::optional<WinogradConv> winograd_, winograd_data_grad_;
  std::optional<WinogradWeightGrad> winograd_weight_grad_;
  std::optional<Winograd5x5> winograd5x5_, winograd5x5_data_grad_;
  std::optional<Winograd5x5WeightGrad> winograd5x5_weight_grad_;
  std::unique_ptr<OptionalConv2d> onednn_;
  std::unique_ptr<Impl> gemm_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Conv2dPlan::Impl> cpu::conv2d_cpu(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  if (options.groups == x[1] && options.groups > 1) return depthwise_conv2d(x, y, options);
  return std::make_unique<Conv2dCpu>(x, y, options);
}

}  // namespace gpucnn::kernels
