#include <algorithm>
#include <bitset>

#include <gpucnn/core/host/host_memory.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/vendor/onednn.h>
#include <gpucnn/kernels/vendor/onednn_use.h>

// What oneDNN is given, and for as long as it may be called. So threads that are still at work while the process ends compute on,
// and whoever waits for them does not wait in vain.
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

class FasterByOnednn final : public OptionalConv2d {
 public:
  FasterByOnednn(const Shape& x, const Shape& y, const Conv2dOptions& options) : x_(x), y_(y), options_(options) {}

  bool forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    return call(kForward, [&] { onednn_->forward(x, weight, bias, epilogue, y, stream); });
  }

  bool backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    return call(kBackwardData, [&] { onednn_->backward_data(dy, weight, dx, stream); });
  }

  bool backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    return call(kBackwardWeights, [&] { onednn_->backward_weights(x, dy, accumulate, dweight, dbias, stream); });
  }

 private:
  enum Pass { kForward, kBackwardData, kBackwardWeights, kPasses };

  template <class Function>
  bool call(Pass pass, Function function) {
    if (!served_) return false;
    const onednn::Use use(!called_[pass]);
    return use && run(pass, function);
  }

  /// False, now and from then on, if oneDNN has no implementation.
  template <class Function>
  bool run(Pass pass, Function function) try {
    if (!onednn_) onednn_ = conv2d_onednn(x_, y_, options_);
    function();
    called_[pass] = true;
    return true;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) host_memory::fail(static_cast<std::uint64_t>(y_.numel()) * sizeof(float));
    return served_ = false;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  bool served_ = true;
  std::bitset<kPasses> called_;  // oneDNN makes what it keeps when a pass is called first
  std::unique_ptr<Conv2dPlan::Impl> onednn_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<cpu::OptionalConv2d> cpu::faster_by_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  if (options.groups == 1 || !onednn_serves(x, options)) return nullptr;
  return std::make_unique<FasterByOnednn>(x, y, options);
}

}  // namespace gpucnn::kernels
