#include <bitset>

#include <gpucnn/kernels/conv2d_impl.h>
#include <gpucnn/kernels/onednn_use.h>

// Convolution on the CPU: by oneDNN, for as long as that may be called; then directly, so that threads which are still at work
// while the process ends compute on, and whoever waits for them does not wait in vain.
namespace gpucnn::kernels::cpu {
namespace {

class Conv2dCpu final : public Conv2dPlan::Impl {
 public:
  Conv2dCpu(const Shape& x, const Shape& y, const Conv2dOptions& options) : x_(x), y_(y), options_(options) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y, Stream& stream) override {
    call(kForward, [&](Impl& impl) { impl.forward(x, weight, bias, relu, y, stream); });
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    call(kBackwardData, [&](Impl& impl) { impl.backward_data(dy, weight, dx, stream); });
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    call(kBackwardWeights, [&](Impl& impl) { impl.backward_weights(x, dy, accumulate, dweight, dbias, stream); });
  }

 private:
  enum Pass { kForward, kBackwardData, kBackwardWeights, kPasses };

  template <class Run>
  void call(Pass pass, Run run) {
    const onednn::Use use(!called_[pass]);
    if (!use) return run(*conv2d_direct(x_, y_, options_));
    if (!onednn_) onednn_ = conv2d_onednn(x_, y_, options_);
    run(*onednn_);
    called_[pass] = true;
  }

  Shape x_, y_;
  Conv2dOptions options_;
  std::unique_ptr<Impl> onednn_;
  std::bitset<kPasses> called_;  // oneDNN makes what it keeps when a pass is called first
};

}  // namespace

std::unique_ptr<Conv2dPlan::Impl> conv2d_cpu(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  return std::make_unique<Conv2dCpu>(x, y, options);
}

}  // namespace gpucnn::kernels::cpu
