#include <algorithm>
#include <bitset>
#include <optional>

#include <gpucnn/core/host/host_memory.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/vendor/onednn.h>
#include <gpucnn/kernels/vendor/onednn_use.h>
#include <gpucnn/kernels/winograd/winograd_conv.h>
#include <gpucnn/kernels/winograd/winograd_weight_grad.h>

// Convolution on the CPU: depthwise by our own kernels, 3x3 windows by Winograd where that pays. All others by oneDNN where it can,
// and for as long as it may be called; else directly. So threads that are still at work while the process ends compute on, and
// whoever waits for them does not wait in vain.
namespace gpucnn::kernels {
namespace cpu {
namespace {

/// Whether oneDNN computes this without overflow: its strides, paddings and extents are ints.
bool onednn_serves(const Shape& x, const Conv2dOptions& options) {
  constexpr std::int64_t kMaxExtent = 1 << 28;
  const auto extent = [](std::int64_t size, int kernel, int stride, std::int64_t padding, int dilation) {
    return std::max({size + padding, std::int64_t{dilation} * kernel, std::int64_t{stride}});
  };
  const auto& [kernel, stride, padding, dilation, groups, bias] = options;
  return extent(x[2], kernel.height, stride.height, std::int64_t{padding.top} + padding.bottom, dilation.height) <= kMaxExtent &&
         extent(x[3], kernel.width, stride.width, std::int64_t{padding.left} + padding.right, dilation.width) <= kMaxExtent;
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
      : x_(x), y_(y), options_(options), served_(onednn_serves(x, options)) {
    if (!is_winograd_window(options) || !winograd_pays(x, y[1])) return;
    winograd_.emplace(x, y, false);
    winograd_data_grad_.emplace(y, x, true);
    if (winograd_weight_grad_pays(x, y[1])) winograd_weight_grad_.emplace(x, y);
  }

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    const float* const b = options_.bias ? bias.data<float>() : nullptr;
    if (winograd_ && winograd_->run(x, weight, b, epilogue, y)) return;
    call(kForward, [&](Impl& impl) { impl.forward(x, weight, bias, epilogue, y, stream); });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    if (winograd_data_grad_ && winograd_data_grad_->run(dy, weight, nullptr, {}, dx)) return;
    call(kBackwardData, [&](Impl& impl) { impl.backward_data(dy, weight, dx, stream); });
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    if (winograd_weight_grad_ && winograd_weight_grad_->run(x, dy, {accumulate.dweight, accumulate.dbias}, dweight, dbias)) return;
    call(kBackwardWeights, [&](Impl& impl) { impl.backward_weights(x, dy, accumulate, dweight, dbias, stream); });
  }

 private:
  enum Pass { kForward, kBackwardData, kBackwardWeights, kPasses };

  template <class Function>
  void call(Pass pass, Function function) {
    if (served_) {
      const onednn::Use use(!called_[pass]);
      if (use && run_onednn(pass, function)) return;
    }
    function(*conv2d_direct(x_, y_, options_));
  }

  /// False, now and from then on, if oneDNN has no implementation.
  template <class Function>
  bool run_onednn(Pass pass, Function function) try {
    if (!onednn_) onednn_ = conv2d_onednn(x_, y_, options_);
    function(*onednn_);
    called_[pass] = true;
    return true;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) host_memory::fail(static_cast<std::uint64_t>(y_.numel()) * sizeof(float));
    return served_ = false;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  std::optional<WinogradConv> winograd_, winograd_data_grad_;
  std::optional<WinogradWeightGrad> winograd_weight_grad_;
  std::unique_ptr<Impl> onednn_;
  bool served_;                  // by oneDNN
  std::bitset<kPasses> called_;  // oneDNN makes what it keeps when a pass is called first
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Conv2dPlan::Impl> cpu::conv2d_cpu(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  if (options.groups == x[1] && options.groups > 1) return depthwise_conv2d(x, y, options);
  return std::make_unique<Conv2dCpu>(x, y, options);
}

}  // namespace gpucnn::kernels
